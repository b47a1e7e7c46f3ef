"""Schedules: which task runs when, stored in PostgreSQL, and the record of their firings."""
