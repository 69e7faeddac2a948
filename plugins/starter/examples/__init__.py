"""A small working plugin of each kind, one per file: what `recipe plugins new` starts from.

They are not registered. They use what `khichdi.plugins` and its toolkit make public, like the
plugins that they become.
"""
