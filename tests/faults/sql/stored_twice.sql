-- How often was a value counted as new beyond the first time, over all runs of the feeds?
SELECT coalesce(sum(new), 0) FROM observables.run_chunk WHERE source_id = ANY(%(feeds)s::uuid[])
