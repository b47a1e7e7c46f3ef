"""SQL of runs, of the work on them, and of the turns at providers."""
