"""What persons prove who they are with: passwords, passkeys, one-time codes, recovery codes."""
