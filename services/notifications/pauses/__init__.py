"""Pauses: a channel whose receiver keeps failing is left alone, and tried now and then."""
