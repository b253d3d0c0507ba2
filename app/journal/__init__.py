"""What is computed from the rows of a call's journal. Pure: no I/O."""
