"""Training from scratch: models that predict several tokens at once."""
