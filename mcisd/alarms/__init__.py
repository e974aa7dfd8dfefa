"""Judge and tell: metric frames come in, state changes and messages go out."""
