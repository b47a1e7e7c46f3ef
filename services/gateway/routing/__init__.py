"""The edge: every request to the installation's one address, and the service that answers it."""
