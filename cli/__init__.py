"""The `recipe` command: one short file per subcommand."""

if __name__ != "khichdi.cli":
    raise ImportError("this folder is the package khichdi.cli: install it and import that name")
