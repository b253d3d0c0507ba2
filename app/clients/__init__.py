"""Clients of the outside world, one folder per vendor; a vendor's words and exceptions do not leave its folder."""
