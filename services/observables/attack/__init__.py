"""Malware families and tags in terms of ATT&CK: the index of names, and what it makes of assertions."""
