"""Training memory: activation checkpointing."""
