"""Attention within packed samples."""
