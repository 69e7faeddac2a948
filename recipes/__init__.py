"""The recipes that ship, and their small data."""

if __name__ != "khichdi.recipes":
    raise ImportError("this folder is the package khichdi.recipes: install it and import that name")
