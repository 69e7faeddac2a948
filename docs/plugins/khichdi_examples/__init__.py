"""An example plugin of each kind, in a module of its own."""
