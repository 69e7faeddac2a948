"""The filters that ship."""
