-- A cross-link is signed once, and never changed.
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_crosslink
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_crosslink ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('audit_crosslink');

-- reverse
DROP TRIGGER audit_no_change ON audit_crosslink;
DROP TRIGGER audit_no_truncate ON audit_crosslink;
