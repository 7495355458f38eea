"""The graph of each exported file.

Shape letters: B sequences, W rows of each, R rows that are wanted, C places of the cache, D hidden size,
G key-value heads, S head_dim, K extra heads, V scores.
"""
