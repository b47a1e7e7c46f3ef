"""Answers of providers, their raw bytes, and the disclosure state of observables."""
