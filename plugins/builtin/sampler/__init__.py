"""The samplers that ship."""
