"""A rehearsal of a recipe on synthetic rows and a tiny model."""
