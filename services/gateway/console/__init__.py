"""The console: pages for people, rendered here from what the services' public APIs answer."""
