"""Estimates of rows, tokens, memory, time and disk, before anything runs."""
