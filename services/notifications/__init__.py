"""Notifications: rules over changed observables, channels, and a ledger of deliveries."""
