"""Pure functions: text -> bound recipe -> plan. No clock, network, randomness or torch."""

if __name__ != "khichdi.compiler":
    raise ImportError(
        "this folder is the package khichdi.compiler: install it and import that name"
    )
