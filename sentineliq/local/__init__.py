"""The whole platform on one machine: PostgreSQL, Valkey and Apache Kafka from wheels, and the services beside them."""
