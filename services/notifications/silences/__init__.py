"""Silences: matches that nobody is to be told of for a while, and that are summed up at the end."""
