"""Malware families and tags in terms of MITRE ATT&CK: the index of names."""
