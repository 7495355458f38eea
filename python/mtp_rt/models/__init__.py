"""Language models and extra heads in PyTorch: what is trained. Needs torch (`pip install mtp-rt[train]`)."""
