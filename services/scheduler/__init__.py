"""Schedules in PostgreSQL, Celery Beat that fires them, and the reconcilers that keep queues honest."""
