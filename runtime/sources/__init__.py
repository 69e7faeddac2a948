"""Pin sources, fetch them, or read them from a mirror."""
