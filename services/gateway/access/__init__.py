"""Who makes a request: a session, an API key or a token; and the token that a service gets."""
