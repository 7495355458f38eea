"""Language models that predict several tokens per step: the same text, sooner."""
