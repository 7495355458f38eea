"""Experiments that show what predicting several tokens changes: `mtp-rt train task:NAME`. Needs torch."""
