"""Templates: what the messages of a rule say, in a tenant's own words."""
