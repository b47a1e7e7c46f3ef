"""Beat: the Celery Beat scheduler that fires due schedules."""
