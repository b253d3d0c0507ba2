"""Pure: what is worked out from the rows of a call's journal."""
