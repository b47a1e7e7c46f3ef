"""The command line: `app` lists the commands, `commands` has a module for each group."""
