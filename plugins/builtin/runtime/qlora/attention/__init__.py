"""Attention that keeps packed samples apart."""
