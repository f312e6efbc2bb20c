-- What somebody signed stays as he signed it: a signature is added to, never changed or taken away.
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_review
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_review ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('audit_review');

-- reverse
DROP TRIGGER audit_no_truncate ON audit_review;
DROP TRIGGER audit_no_change ON audit_review;
