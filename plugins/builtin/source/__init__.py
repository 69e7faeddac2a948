"""The sources that ship."""
