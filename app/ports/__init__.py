"""What a call needs of the outside, as protocols."""
