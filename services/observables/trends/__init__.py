"""Trends: values that several feeds see at once, and subjects that rise above their own baseline."""
