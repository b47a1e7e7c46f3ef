"""The commands: one module per group, imported when one of its commands is called."""
