, kept AS (
    -- Of an id that stands twice in the array one is stored: its digest says which salts are its own.
    INSERT INTO audit_erasable (record_id, path, salt, value)
    SELECT stored.id, beside.path, decode(beside.salt, 'hex'), beside.value
    FROM json_to_recordset($5::json) AS beside (id uuid, digest text, path text, salt text, value text)
    JOIN stored ON stored.id = beside.id AND stored.digest = decode(beside.digest, 'hex')
)
SELECT id FROM stored
