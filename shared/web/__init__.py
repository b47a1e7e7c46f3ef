"""Web: what every FastAPI app shares: authentication, problem details, health routes, request logs."""
