-- Wait no more for what came in time: of the rule, correlation, record, time and "at any time" of each answer.
DELETE FROM audit_awaited a
USING unnest(%s::bigint[], %s::text[], %s::uuid[], %s::timestamptz[], %s::boolean[])
    AS came(rule, correlation, id, at, whenever)
WHERE a.expectation_id = came.rule
  AND a.subject = came.correlation
  AND (came.whenever OR (came.at >= a.since AND came.at <= a.due_at AND came.id <> a.began_by))
RETURNING a.expectation_id
