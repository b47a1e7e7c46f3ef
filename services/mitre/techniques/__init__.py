"""Techniques: look up, search and export ATT&CK techniques."""
