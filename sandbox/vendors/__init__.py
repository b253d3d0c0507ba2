"""Stand-ins for the vendors; they speak the vendors' wire protocols."""
