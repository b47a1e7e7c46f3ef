"""Inhibitions: while some matches fire, others with equal labels are held."""
