"""Models known by name: where they come from, the cache, and fetching on first use."""

from mtp_rt.hub.cache import cache_root, cached_models, pull, resolve_model
from mtp_rt.hub.known import DEFAULT_MODEL, KnownModel, known_models

__all__ = [
    "DEFAULT_MODEL",
    "KnownModel",
    "cache_root",
    "cached_models",
    "known_models",
    "pull",
    "resolve_model",
]
