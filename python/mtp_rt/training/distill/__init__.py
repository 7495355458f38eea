"""Heads for a pretrained model, from nothing but the model: write text, record its states, fit the heads."""
