"""Deliveries: notifications on their way through channels, with every attempt."""
