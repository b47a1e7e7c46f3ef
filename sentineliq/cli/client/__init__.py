"""Clients of the services: of their APIs, their topics and their workers."""
