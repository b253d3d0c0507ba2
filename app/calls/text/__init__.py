"""A call in words alone, without sound: the core, prompt, tools and policy are those of a telephone call."""
