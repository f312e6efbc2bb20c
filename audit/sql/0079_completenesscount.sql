-- How many findings each writer has, and how many numbers: counted as they are written, whoever writes them. A statement
-- adds what it changed as rows of its own, so that nobody waits for another; `audit.completeness.counts` folds them.
--
-- `counted` says of a row that it is in the counts. What was there before is not, until `counts` has had it counted.
ALTER TABLE audit_gap ADD COLUMN counted boolean NOT NULL DEFAULT false;
ALTER TABLE audit_gap ALTER COLUMN counted SET DEFAULT true;
ALTER TABLE audit_manifest ADD COLUMN counted boolean NOT NULL DEFAULT false;
ALTER TABLE audit_manifest ALTER COLUMN counted SET DEFAULT true;
ALTER TABLE audit_brokenpromise ADD COLUMN counted boolean NOT NULL DEFAULT false;
ALTER TABLE audit_brokenpromise ALTER COLUMN counted SET DEFAULT true;
ALTER TABLE audit_unmet ADD COLUMN counted boolean NOT NULL DEFAULT false;
ALTER TABLE audit_unmet ALTER COLUMN counted SET DEFAULT true;
ALTER TABLE audit_numbering ADD COLUMN counted boolean NOT NULL DEFAULT false;
ALTER TABLE audit_numbering ALTER COLUMN counted SET DEFAULT true;

-- Of findings. Arguments: their kind, and in SQL whose each is, by which rule it was found, and how many numbers are
-- missing by it.
CREATE FUNCTION audit_count_findings() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    changed text := 'SELECT 1 AS sign, * FROM is_now';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        changed := changed || ' UNION ALL SELECT -1, * FROM was';
    END IF;
    EXECUTE format($sql$
        INSERT INTO audit_completenesscount
            (kind, writer, rule, hour, open, explained, every, missing, missing_explained, numbered, reused)
        SELECT %L, writer, rule, hour, sum(sign * open), sum(sign * explained), sum(sign),
            sum(sign * open * missing), sum(sign * explained * missing), 0, 0
        FROM (
            SELECT sign, %s AS writer, %s AS rule, %s AS missing, date_trunc('hour', found_at, 'UTC') AS hour,
                (closed_at IS NULL AND explained_at IS NULL)::int AS open,
                (closed_at IS NULL AND explained_at IS NOT NULL)::int AS explained
            FROM (%s) AS finding WHERE counted
        ) AS counted GROUP BY writer, rule, hour
        HAVING (sum(sign * open), sum(sign * explained), sum(sign), sum(sign * open * missing),
                sum(sign * explained * missing)) <> (0, 0, 0, 0, 0)
        $sql$, TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], TG_ARGV[3], changed);
    RETURN NULL;
END
$body$;

-- Of numberings: how many events have numbers, and how many have one that another had.
CREATE FUNCTION audit_count_numbers() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    changed text := 'SELECT 1 AS sign, * FROM is_now';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        changed := changed || ' UNION ALL SELECT -1, * FROM was';
    END IF;
    EXECUTE format($sql$
        INSERT INTO audit_completenesscount
            (kind, writer, open, explained, every, missing, missing_explained, numbered, reused)
        SELECT %L, writer, 0, 0, 0, 0, 0, sum(sign * events), sum(sign * reused)
        FROM (%s) AS numbering WHERE counted GROUP BY writer
        HAVING (sum(sign * events), sum(sign * reused)) <> (0, 0)
        $sql$, TG_ARGV[0], changed);
    RETURN NULL;
END
$body$;

CREATE TRIGGER audit_count_new AFTER INSERT ON audit_gap REFERENCING NEW TABLE AS is_now FOR EACH STATEMENT
    EXECUTE FUNCTION audit_count_findings('gap',
        '(SELECT writer FROM audit_numbering WHERE id = numbering_id)', 'NULL::bigint', 'missing');
CREATE TRIGGER audit_count_changed AFTER UPDATE ON audit_gap REFERENCING OLD TABLE AS was NEW TABLE AS is_now
    FOR EACH STATEMENT EXECUTE FUNCTION audit_count_findings('gap',
        '(SELECT writer FROM audit_numbering WHERE id = numbering_id)', 'NULL::bigint', 'missing');

CREATE TRIGGER audit_count_new AFTER INSERT ON audit_manifest REFERENCING NEW TABLE AS is_now FOR EACH STATEMENT
    EXECUTE FUNCTION audit_count_findings('manifest', 'writer', 'NULL::bigint', '0');
CREATE TRIGGER audit_count_changed AFTER UPDATE ON audit_manifest REFERENCING OLD TABLE AS was NEW TABLE AS is_now
    FOR EACH STATEMENT EXECUTE FUNCTION audit_count_findings('manifest', 'writer', 'NULL::bigint', '0');

CREATE TRIGGER audit_count_new AFTER INSERT ON audit_brokenpromise REFERENCING NEW TABLE AS is_now FOR EACH STATEMENT
    EXECUTE FUNCTION audit_count_findings('brokenpromise', 'writer', 'NULL::bigint', '0');
CREATE TRIGGER audit_count_changed AFTER UPDATE ON audit_brokenpromise REFERENCING OLD TABLE AS was NEW TABLE AS is_now
    FOR EACH STATEMENT EXECUTE FUNCTION audit_count_findings('brokenpromise', 'writer', 'NULL::bigint', '0');

CREATE TRIGGER audit_count_new AFTER INSERT ON audit_unmet REFERENCING NEW TABLE AS is_now FOR EACH STATEMENT
    EXECUTE FUNCTION audit_count_findings('unmet', 'writer', 'expectation_id', '0');
CREATE TRIGGER audit_count_changed AFTER UPDATE ON audit_unmet REFERENCING OLD TABLE AS was NEW TABLE AS is_now
    FOR EACH STATEMENT EXECUTE FUNCTION audit_count_findings('unmet', 'writer', 'expectation_id', '0');

CREATE TRIGGER audit_count_new AFTER INSERT ON audit_numbering REFERENCING NEW TABLE AS is_now FOR EACH STATEMENT
    EXECUTE FUNCTION audit_count_numbers('numbering');
CREATE TRIGGER audit_count_changed AFTER UPDATE ON audit_numbering REFERENCING OLD TABLE AS was NEW TABLE AS is_now
    FOR EACH STATEMENT EXECUTE FUNCTION audit_count_numbers('numbering');

-- reverse
DROP TRIGGER audit_count_new ON audit_gap;
DROP TRIGGER audit_count_changed ON audit_gap;
DROP TRIGGER audit_count_new ON audit_manifest;
DROP TRIGGER audit_count_changed ON audit_manifest;
DROP TRIGGER audit_count_new ON audit_brokenpromise;
DROP TRIGGER audit_count_changed ON audit_brokenpromise;
DROP TRIGGER audit_count_new ON audit_unmet;
DROP TRIGGER audit_count_changed ON audit_unmet;
DROP TRIGGER audit_count_new ON audit_numbering;
DROP TRIGGER audit_count_changed ON audit_numbering;
DROP FUNCTION audit_count_findings();
DROP FUNCTION audit_count_numbers();
ALTER TABLE audit_gap DROP COLUMN counted;
ALTER TABLE audit_manifest DROP COLUMN counted;
ALTER TABLE audit_brokenpromise DROP COLUMN counted;
ALTER TABLE audit_unmet DROP COLUMN counted;
ALTER TABLE audit_numbering DROP COLUMN counted;
