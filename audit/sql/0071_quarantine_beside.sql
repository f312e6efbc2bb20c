-- What stands beside an event of the queue, so that a quarantined one can be parked again as it was.
ALTER TABLE audit_quarantine ADD COLUMN beside bytea;

-- reverse
ALTER TABLE audit_quarantine DROP COLUMN beside;
