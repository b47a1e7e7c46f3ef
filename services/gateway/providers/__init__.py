"""Identity providers (OpenID Connect): who signs in there, and which role follows from it."""
