"""The SQL of provider queues and jobs."""
