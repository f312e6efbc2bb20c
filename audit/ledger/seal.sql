-- Move the records that the sealer intends from the queue to the leaves, in their order. They stand between two places
-- (tuple ids): what waits behind them is not read.
-- Answers how many were intended and how many were there, the hashes of these one after the other, and what they were
-- to hash to.
WITH intended AS MATERIALIZED (
    SELECT u.record_id, u.position FROM audit_intent, unnest(records) WITH ORDINALITY u (record_id, position)
), taken AS (
    DELETE FROM audit_unsealed q USING intended i
    WHERE q.record_id = i.record_id AND q.ctid BETWEEN %(first)s::tid AND %(last)s::tid
    RETURNING i.position, q.record_id, q.leaf_hash
), written AS (
    INSERT INTO audit_leaf (index, record_id, leaf_hash)
    SELECT %(size)s + position - 1, record_id, leaf_hash FROM taken
    RETURNING index, leaf_hash
)
SELECT (SELECT count(*) FROM intended), count(*), string_agg(leaf_hash, ''::bytea ORDER BY index),
       (SELECT digest FROM audit_intent)
FROM written
