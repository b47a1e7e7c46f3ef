"""What commands talk to: the services, their topics and their workers."""
