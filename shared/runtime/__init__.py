"""Runtime: the processes of a service, their Celery app and their probes."""
