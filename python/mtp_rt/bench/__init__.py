"""Benchmarks: plain against drafted decoding, step times, and the same work on other runtimes."""
