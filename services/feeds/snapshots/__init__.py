"""Snapshots: what a feed listed when it was last read, and what changed since."""
