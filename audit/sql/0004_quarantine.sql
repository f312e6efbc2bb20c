-- Parked events that waited seven days in Redis, or that a person put aside: kept as they were, for good.
--
-- No constraint that could fail, no key that could clash: whatever was in the queue can be kept here. A message that was moved twice,
-- because a crash came between the commit and its removal from Redis, stands here twice.
CREATE TABLE audit_quarantine (
    n              bigint GENERATED ALWAYS AS IDENTITY,
    message_id     text,
    key            text,
    digest         bytea,
    body           bytea,
    source         text,
    kind           text,
    reason         text,
    attempts       integer,
    errors         text,
    received_at    timestamptz,
    parked_at      timestamptz,
    cause          text,
    quarantined_by text,
    quarantined_at timestamptz DEFAULT clock_timestamp()
);
CREATE INDEX audit_quarantine_key ON audit_quarantine (key);
CREATE INDEX audit_quarantine_n ON audit_quarantine (n);

CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_quarantine
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_quarantine ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('audit_quarantine');

-- reverse
DROP TABLE audit_quarantine;
