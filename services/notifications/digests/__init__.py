"""Digests: what rules have matched, told at due times in the receiver's zone."""
