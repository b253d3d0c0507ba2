"""Russian numbers, dates, units and money as they are read aloud."""
