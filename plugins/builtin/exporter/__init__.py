"""The exporters that ship."""
