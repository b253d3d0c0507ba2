"""What differs between the databases: how each is opened, and the SQL that only one of them understands."""
