"""Rules: which changes notify whom."""
