"""The platform on one machine: PostgreSQL, Valkey and Kafka from wheels, and the services."""
