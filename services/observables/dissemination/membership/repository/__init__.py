"""The SQL of membership: single changes in bulk, and whole lists."""
