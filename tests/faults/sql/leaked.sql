-- Which rows of another tenant name a value of this installation's only tenant?
SELECT count(*) FROM observables.observable
WHERE tenant <> %(tenant)s AND value = ANY(%(values)s)
