-- What was backed up and tried is noted once, and never changed.
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_backup
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_backup ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('audit_backup');
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_restoredrill
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_restoredrill ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('audit_restoredrill');

-- reverse
DROP TRIGGER audit_no_change ON audit_backup;
DROP TRIGGER audit_no_truncate ON audit_backup;
DROP TRIGGER audit_no_change ON audit_restoredrill;
DROP TRIGGER audit_no_truncate ON audit_restoredrill;
