"""The recipe language as data: its keys, its JSON Schema, `--set` overrides, migrations."""
