"""The `qlora` runtime: train an adapter on packed samples, bit-identically."""
