"""The quantizers that ship."""
