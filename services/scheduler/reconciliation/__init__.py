"""Reconciliation: have every service enqueue again the work that its queue lost."""
