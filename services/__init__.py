"""The services. Each is a process family of its own; none imports another."""
