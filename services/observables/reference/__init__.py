"""Reference data: allow-lists, networks and exploited vulnerabilities.

Each dataset is fetched daily, packed once and then read in place.
"""
