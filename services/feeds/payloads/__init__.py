"""Payloads: fetched and uploaded documents, unwrapped and stored by digest."""
