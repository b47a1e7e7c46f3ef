"""Schedules: which task runs when, kept in PostgreSQL."""
