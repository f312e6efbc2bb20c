-- Intend to seal up to `limit` records of the queue, from the place (a tuple id) where the last pass left off.
-- Answers what their hashes hash to, and the places of the first and the last; no row where none waits.
WITH chosen AS (
    SELECT ctid AS place, record_id, leaf_hash FROM audit_unsealed WHERE ctid >= %(place)s::tid LIMIT %(limit)s
), together AS (
    SELECT array_agg(record_id) AS records, sha256(string_agg(leaf_hash, ''::bytea)) AS digest,
           min(place)::text AS first, max(place)::text AS last
    FROM chosen
)
INSERT INTO audit_intent (size, records, digest)
SELECT %(size)s, records, digest FROM together WHERE records IS NOT NULL
ON CONFLICT (single) DO UPDATE SET size = EXCLUDED.size, records = EXCLUDED.records, digest = EXCLUDED.digest
RETURNING digest, (SELECT first FROM together), (SELECT last FROM together)
