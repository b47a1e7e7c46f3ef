-- Which runs and deliveries were given up, and why?
SELECT 'run', id::text, error::text FROM feeds.run
WHERE state = 'failed' AND feed_id = ANY(%(feeds)s::uuid[])
UNION ALL
SELECT 'delivery', id::text, error::text FROM notifications.delivery
WHERE state = 'failed' AND rule = %(rule)s
