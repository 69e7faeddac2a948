"""Effects: pin bytes, execute a plan, keep every result by content, write the record."""

if __name__ != "khichdi.runtime":
    raise ImportError("this folder is the package khichdi.runtime: install it and import that name")
