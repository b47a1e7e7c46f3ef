"""Membership: who joins and leaves lists, by changes, by time, and by a look at all observables."""
