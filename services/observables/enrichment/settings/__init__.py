"""Settings of enrichers and the access that follows from them."""
