"""The `mtp-rt` command."""
