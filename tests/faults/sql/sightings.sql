-- Which sightings are stored?
SELECT id::text FROM observables.sighting WHERE id = ANY(%(sightings)s::uuid[])
