"""Other people's model files -> model directories (docs/model_dir.md)."""
