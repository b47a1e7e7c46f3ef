"""Retention: how long the rows of the service's tables stay, and the task that deletes them."""
