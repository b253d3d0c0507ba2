"""What ``voice-agent doctor`` looks at: each check is a small function that answers with findings in plain words."""
