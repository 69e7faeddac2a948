"""Describe a run: data set card, CycloneDX ML-BOM, Croissant."""
