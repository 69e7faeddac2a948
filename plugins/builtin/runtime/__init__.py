"""The runtimes that ship."""
