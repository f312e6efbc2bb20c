-- The way to the records that were received in a window of time. They lie about in that order, so a summary of each
-- stretch of the table is enough: it costs an insert next to nothing, and the index some kilobytes.
CREATE INDEX audit_record_received ON audit_record USING brin (received_at) WITH (autosummarize = on);

-- reverse
DROP INDEX audit_record_received;
