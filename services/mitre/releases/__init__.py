"""Releases: versions of ATT&CK, their objects, and what changed between two of them."""
