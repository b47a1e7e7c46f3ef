"""The screens of the console: each module has the pages and acts of one subject."""
