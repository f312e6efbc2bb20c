-- The way to the records of one writer in a window of time: what a manifest without numbers is compared with.
CREATE INDEX audit_record_writer ON audit_record (writer, event_timestamp DESC, id DESC);

-- reverse
DROP INDEX audit_record_writer;
