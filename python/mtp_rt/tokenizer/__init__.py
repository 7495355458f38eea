"""Text <-> token ids, and chat templates. Loading a model imports tokenizers and jinja2, nothing before."""

from mtp_rt.tokenizer.tokenizer import TextDecoder, Tokenizer

__all__ = ["TextDecoder", "Tokenizer"]
