"""Deliveries: send notifications through channels, with a ledger of every one."""
