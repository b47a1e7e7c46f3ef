"""Groups: what a rule has matched that belongs together, with a life from opening to closing."""
