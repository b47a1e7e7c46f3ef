"""The manual: the pages of `docs/`, as they were built for this version."""
