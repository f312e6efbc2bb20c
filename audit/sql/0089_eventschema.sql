-- A revision of a schema is registered once, and never changed: records are shown with the one that held.
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_eventschema
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_eventschema ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('audit_eventschema');

-- reverse
DROP TRIGGER audit_no_change ON audit_eventschema;
DROP TRIGGER audit_no_truncate ON audit_eventschema;
