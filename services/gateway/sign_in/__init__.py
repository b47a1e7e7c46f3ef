"""Signing in and out: with a password, with a link, and what the pages of that need."""
