"""The readers that ship."""
