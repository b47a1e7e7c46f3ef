"""The processes of a service, its Celery app, probes and process titles."""
