-- Which values does each source assert now?
SELECT assertion.source_id::text, observable.value
FROM observables.assertion
JOIN observables.observable
  ON observable.tenant = assertion.tenant AND observable.id = assertion.observable_id
WHERE assertion.source_id = ANY(%(feeds)s::uuid[]) AND assertion.retracted_at IS NULL
