"""Kafka: publishing, the one-transaction consumer, the outbox and its relay, dead letters."""
