"""Dissemination: lists that devices and tools read, and what is said to their consumers."""
