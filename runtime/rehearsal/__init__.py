"""Rehearse a recipe on synthetic rows and a tiny model."""
