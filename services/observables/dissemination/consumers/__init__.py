"""Consumers: the devices and tools that poll lists, their tokens, and what they have."""
