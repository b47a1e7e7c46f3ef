"""How much of the gateway a tenant may use."""
