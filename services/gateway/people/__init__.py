"""Tenants, the persons who use them, their roles there, and invitations."""
