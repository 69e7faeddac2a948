"""The `qlora` runtime: packed training of an adapter, repeatable to the bit."""
