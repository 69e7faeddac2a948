"""Memory of a training: activation checkpointing."""
