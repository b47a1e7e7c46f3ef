"""Watchlists: own addresses, networks, domains and brands that filters refer to."""
