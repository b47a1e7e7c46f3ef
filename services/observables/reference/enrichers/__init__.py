"""The offline enrichers: plug-ins that describe values without asking any provider."""
