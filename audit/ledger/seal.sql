-- Move up to `limit` records from the queue to the leaves, from the place (a tuple id) where the last pass left off.
-- Answers how many, their hashes one after the other, the first and last index, and the place of the last row taken.
WITH taken AS (
    DELETE FROM audit_unsealed
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM audit_unsealed WHERE ctid >= %(place)s::tid LIMIT %(limit)s))
    RETURNING ctid AS place, record_id, leaf_hash
), written AS (
    INSERT INTO audit_leaf (index, record_id, leaf_hash)
    SELECT %(size)s + row_number() OVER () - 1, record_id, leaf_hash FROM taken
    RETURNING index, leaf_hash
)
SELECT count(*), string_agg(leaf_hash, ''::bytea ORDER BY index), min(index), max(index),
       (SELECT max(place)::text FROM taken)
FROM written
