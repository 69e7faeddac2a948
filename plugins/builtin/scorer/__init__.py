"""The scorers that ship."""
