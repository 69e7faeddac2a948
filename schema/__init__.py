"""Nouns: every document that crosses a boundary, YAML with positions, digests, the error tree."""

if __name__ != "khichdi.schema":
    raise ImportError("this folder is the package khichdi.schema: install it and import that name")
