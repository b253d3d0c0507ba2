"""Stand-ins that speak the vendors' wire protocols."""
