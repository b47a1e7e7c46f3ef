"""Connections to PostgreSQL on which nothing waits without a limit."""
