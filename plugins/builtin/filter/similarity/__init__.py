"""Text similarity: embeddings, MinHash, n-gram indexes, duplicate detection."""
