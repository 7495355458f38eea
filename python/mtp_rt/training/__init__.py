"""Training: heads for pretrained models."""
