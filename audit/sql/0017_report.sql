-- What a report said is what it said: once it is ready, its row never changes, whoever asks.
CREATE TRIGGER audit_report_made BEFORE UPDATE OR DELETE ON audit_report
    FOR EACH ROW WHEN (OLD.state = 'ready') EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_report ENABLE ALWAYS TRIGGER audit_report_made;

-- reverse
DROP TRIGGER audit_report_made ON audit_report;
