"""Payloads: fetched and uploaded documents, unpacked and stored by digest."""
