"""One file for each version of the schema, in their order."""
