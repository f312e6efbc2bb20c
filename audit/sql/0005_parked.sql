-- Records that came by way of the queue, by when they were parked: a page of one outage lists its own.
CREATE INDEX audit_record_parked ON audit_record (parked_at, id) WHERE parked_at IS NOT NULL;

-- reverse
DROP INDEX audit_record_parked;
