"""Lookups: what is stored about one value, about many, and about all that match a filter."""
