"""Records out of files: formats, decompression, and the mapping to rows."""
