"""Text for the voice: cut into clauses, and written the way it is read aloud. Pure: no I/O."""
