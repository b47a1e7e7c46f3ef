"""The base of all FastAPI apps."""
