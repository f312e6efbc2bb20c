-- What the sealer is about to seal, a single row: it is committed before anything is signed. A server that takes over has
-- every commit that was confirmed, so whoever seals there takes the same records in the same order, and signs the same tree.
CREATE TABLE audit_intent (
    single  boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (single),
    size    bigint  NOT NULL CHECK (size >= 0),
    records uuid[]  NOT NULL,
    digest  bytea   NOT NULL CHECK (octet_length(digest) = 32)
);
COMMENT ON COLUMN audit_intent.size IS 'the leaves of the log that they come after: once it has more, they are sealed';
COMMENT ON COLUMN audit_intent.digest IS 'SHA-256 of their leaf hashes, one after the other';
ALTER TABLE audit_intent ALTER COLUMN records SET STORAGE EXTERNAL;

-- reverse
DROP TABLE audit_intent;
