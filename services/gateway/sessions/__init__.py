"""Sessions of persons: rows of the database, behind a cookie or a token of the command line."""
