-- The epoch of a writer's numbers, and the way to a number: what a gap lies between, and which event had it first.
ALTER TABLE audit_record ADD COLUMN source_epoch varchar(64);
CREATE INDEX audit_record_source ON audit_record (writer, source_epoch, source_seq) WHERE source_seq IS NOT NULL;

-- reverse
DROP INDEX audit_record_source;
ALTER TABLE audit_record DROP COLUMN source_epoch;
