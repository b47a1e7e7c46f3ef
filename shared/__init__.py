"""The base of all services: events, Kafka, Celery, PostgreSQL, HTTP, identity."""
