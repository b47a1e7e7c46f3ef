"""Remote enrichers: one module for each provider. The package needs `shared` alone."""
