"""The checks of ``voice-agent doctor``. Each is a small function that returns findings in plain words."""
