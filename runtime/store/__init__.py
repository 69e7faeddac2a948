"""The content-addressed store: artifacts, atomic writes, verify, repair, garbage collection."""
