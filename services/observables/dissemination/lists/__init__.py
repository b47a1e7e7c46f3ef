"""Lists: filters whose matches are kept, guarded, and versioned as differences."""
