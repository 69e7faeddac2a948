"""Pinned bytes: lock them, fetch them, or read them from a mirror."""
