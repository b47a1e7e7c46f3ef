"""What every service stands on: events, Kafka, Celery, PostgreSQL, HTTP, identity. Knows no service."""
