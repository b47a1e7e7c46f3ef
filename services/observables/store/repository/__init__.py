"""The SQL of stored observables: `read` by id, `write` by COPY, `upkeep` beside the stream."""
