"""How much of the service a tenant may use."""
