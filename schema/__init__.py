"""Documents, YAML with positions, digests and the error tree."""

if __name__ != "khichdi.schema":
    raise ImportError("this folder is the package khichdi.schema: install it and import that name")
