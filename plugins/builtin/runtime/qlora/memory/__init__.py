"""Memory of a training: its estimate, and activation checkpointing."""
