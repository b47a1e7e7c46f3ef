"""Trends: values that several feeds see at once, and subjects above their own baseline."""
