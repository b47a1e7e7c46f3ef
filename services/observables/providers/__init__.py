"""Remote enrichers: one file for each provider that can be asked about a value."""
