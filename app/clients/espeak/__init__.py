"""eSpeak NG, a program on this machine that speaks when no vendor does."""
