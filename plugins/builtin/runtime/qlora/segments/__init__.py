"""Training segments: their states, and replaying them for an audit."""
