"""Who answers: the agent's file, its tools and its plan for a call."""
