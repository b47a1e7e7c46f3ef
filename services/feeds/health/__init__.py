"""Health: whether a feed still delivers what it usually delivers."""
