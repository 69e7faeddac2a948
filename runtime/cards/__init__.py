"""A run described: data set card, CycloneDX ML-BOM, Croissant."""
