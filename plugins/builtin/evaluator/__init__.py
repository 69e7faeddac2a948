"""The evaluators that ship."""
