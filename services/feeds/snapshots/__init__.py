"""Snapshots: the observables of a feed's last document, and their changes."""
