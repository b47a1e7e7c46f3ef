-- What is neither done nor given up?
SELECT 'feed runs', count(*) FROM feeds.run
WHERE state NOT IN ('succeeded', 'unchanged', 'failed', 'held')
UNION ALL
SELECT 'deliveries', count(*) FROM notifications.delivery
WHERE state NOT IN ('delivered', 'failed')
UNION ALL SELECT 'outbox of feeds', count(*) FROM feeds.outbox WHERE published_at IS NULL
UNION ALL SELECT 'outbox of observables', count(*) FROM observables.outbox WHERE published_at IS NULL
UNION ALL SELECT 'outbox of notifications', count(*) FROM notifications.outbox
WHERE published_at IS NULL
UNION ALL SELECT 'outbox of mitre', count(*) FROM mitre.outbox WHERE published_at IS NULL
UNION ALL SELECT 'outbox of scheduler', count(*) FROM scheduler.outbox WHERE published_at IS NULL
