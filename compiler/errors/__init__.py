"""Validation errors as diagnostics: what was expected, did-you-mean, other tools' terms."""
