"""Moored beside its peers, measured in one run: `scripts/benchmark`."""
