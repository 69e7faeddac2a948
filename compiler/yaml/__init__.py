"""Recipe text: a concrete syntax tree with comments, the canonical formatter, YAML writers."""
