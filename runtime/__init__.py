"""Effects: pin files, execute a plan, store results by content, write the record."""

if __name__ != "khichdi.runtime":
    raise ImportError("this folder is the package khichdi.runtime: install it and import that name")
