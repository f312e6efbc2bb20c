-- The newest signed head, a single row, until it becomes a checkpoint: `kept` says that it has. The sealer signs several
-- heads a second; those that nobody was given are replaced here by the next one, which is the same tree grown further.
-- Nothing in audit_checkpoint is ever taken away, and its numbers stay dense.
CREATE TABLE audit_head (
    single     boolean     NOT NULL PRIMARY KEY DEFAULT true CHECK (single),
    number     bigint      NOT NULL CHECK (number >= 0),
    size       bigint      NOT NULL CHECK (size >= 0),
    root       bytea       NOT NULL CHECK (octet_length(root) = 32),
    note       text        NOT NULL,
    created_at timestamptz NOT NULL,
    kept       boolean     NOT NULL
);
COMMENT ON COLUMN audit_head.number IS 'the number of the checkpoint that it is, or would become';

-- The head moves on, and never back: not to a smaller tree, not past a number that no checkpoint has.
CREATE FUNCTION audit_head_moves_on() RETURNS trigger
LANGUAGE plpgsql
AS $body$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.size >= OLD.size
        AND ((NEW.number = OLD.number AND NEW.kept >= OLD.kept) OR (NEW.number > OLD.number AND OLD.kept)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% on % is refused: the signed head only moves on', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$body$;
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_head
    FOR EACH ROW EXECUTE FUNCTION audit_head_moves_on();
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('audit_head');

INSERT INTO audit_head (number, size, root, note, created_at, kept)
SELECT number, size, root, note, created_at, true FROM audit_checkpoint ORDER BY number DESC LIMIT 1;

-- reverse
INSERT INTO audit_checkpoint (number, size, root, note, created_at)
SELECT number, size, root, note, created_at FROM audit_head WHERE NOT kept;
DROP TABLE audit_head;
DROP FUNCTION audit_head_moves_on();
