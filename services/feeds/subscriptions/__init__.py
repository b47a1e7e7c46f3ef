"""Subscriptions: the feeds of a tenant, their settings and their credentials."""
