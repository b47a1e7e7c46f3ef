"""Reconciliation: every service enqueues again the work that its queue lost."""
