"""Scoring: what scores are computed from, how it adds up, and how it fades. No I/O."""
