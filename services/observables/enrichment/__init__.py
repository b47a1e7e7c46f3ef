"""Remote enrichment: queries to providers, within quotas, each exactly once."""
