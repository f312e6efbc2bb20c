-- Which trace brought a record, as W3C's traceparent, until it is sealed: for the sealer's own span. No part of the record,
-- nor of its leaf.
ALTER TABLE audit_unsealed ADD COLUMN trace text;

-- reverse
ALTER TABLE audit_unsealed DROP COLUMN trace;
