"""Access tokens: what services accept of sessions, API keys and clients."""
