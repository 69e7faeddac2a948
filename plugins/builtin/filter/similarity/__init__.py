"""Text similarity: embeddings, set similarity joins, n-gram indexes, duplicate detection."""
