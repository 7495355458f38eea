"""Training: models from scratch, and heads for pretrained models."""
