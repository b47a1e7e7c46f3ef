"""Health checks of an installation."""
