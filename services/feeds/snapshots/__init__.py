"""What a feed says, version by version: read only where it is new, compared by digests, kept in one file."""
