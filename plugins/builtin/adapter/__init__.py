"""The adapters that ship."""
