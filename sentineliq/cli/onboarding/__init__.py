"""The first minutes: the starter set and the demonstration."""
