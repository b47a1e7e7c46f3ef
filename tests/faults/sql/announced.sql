-- Of which observables was each rule notified, by how many events?
SELECT match ->> 'value', count(DISTINCT delivery.event_id)
FROM notifications.delivery, jsonb_array_elements(delivery.matches) AS match
WHERE delivery.rule = %(rule)s
GROUP BY 1
