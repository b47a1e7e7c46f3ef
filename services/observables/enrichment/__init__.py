"""Asking the world about observables: within budgets, once, and never losing a question."""
