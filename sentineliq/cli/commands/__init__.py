"""The commands: one module per name on the command line, imported when it is called."""
