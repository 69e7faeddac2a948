"""The templates that ship."""
