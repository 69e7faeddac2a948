"""Checks of a bound recipe that need more than one field, and the rules it names."""
