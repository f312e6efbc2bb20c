-- Which records a search by time would miss if it looked only into the months of that time: those that happened more
-- than a day after the moment in their id. There are next to none: a client made its ids long before, or wrongly.
-- All others that happened since T have ids from the day before T on, and so lie in the partitions of those months.
CREATE TABLE audit_stray (
    id              uuid        NOT NULL PRIMARY KEY,
    event_timestamp timestamptz NOT NULL
);
CREATE INDEX audit_stray_time ON audit_stray (event_timestamp);

-- SECURITY DEFINER: whoever inserts a record has no right on this table, and needs none.
CREATE FUNCTION audit_note_stray() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
AS $body$
BEGIN
    INSERT INTO public.audit_stray (id, event_timestamp) VALUES (NEW.id, NEW.event_timestamp) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$body$;
CREATE TRIGGER audit_stray AFTER INSERT ON audit_record FOR EACH ROW
    WHEN (NEW.event_timestamp > audit_uuid7_time(NEW.id) + interval '1 day') EXECUTE FUNCTION audit_note_stray();

-- Note those of the leaves first .. last-1, which were there before the trigger was; answer how many leaves there are.
CREATE FUNCTION audit_note_strays(first bigint, last bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
AS $body$
BEGIN
    INSERT INTO public.audit_stray (id, event_timestamp)
    SELECT r.id, r.event_timestamp FROM public.audit_leaf l JOIN public.audit_record r ON r.id = l.record_id
    WHERE l.index >= first AND l.index < last
      AND r.event_timestamp > public.audit_uuid7_time(r.id) + interval '1 day'
    ON CONFLICT DO NOTHING;
    RETURN (SELECT count(*) FROM public.audit_leaf WHERE index >= first AND index < last);
END
$body$;
REVOKE ALL ON FUNCTION audit_note_strays(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_note_strays(bigint, bigint) TO audit_app;

-- How far a follower has come; an empty store has nothing to look at. The time is not that of the beginning of this
-- transaction: what was stored while it waited for its locks has no trigger behind it either.
INSERT INTO audit_followed (name, position, followed_at)
SELECT 'strays', CASE WHEN EXISTS (SELECT FROM audit_record LIMIT 1) THEN 0 ELSE 9223372036854775807 END,
       clock_timestamp();

-- reverse
DELETE FROM audit_followed WHERE name = 'strays';
DROP TRIGGER audit_stray ON audit_record;
DROP FUNCTION audit_note_stray();
DROP FUNCTION audit_note_strays(bigint, bigint);
DROP TABLE audit_stray;
