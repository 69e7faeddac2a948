"""Shared base of filters: text fields, word splitting, predicates, text editors."""
