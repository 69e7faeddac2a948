"""Parse files into records: formats, decompression, and the mapping to rows."""
