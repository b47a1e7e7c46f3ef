"""Runs: one execution of a feed, from the fetch to the acknowledged chunks."""
