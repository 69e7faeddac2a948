"""Building blocks for plugin authors: tokenize, load a base, generate, deterministic math."""
