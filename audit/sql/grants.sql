-- Who may do what. Applied after every migration, so that a new table never has more rights than are named here.
GRANT USAGE ON SCHEMA public TO audit_app, audit_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO audit_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO audit_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO audit_reader;

-- People's passwords and sessions, and writers' keys, are not for reading.
REVOKE ALL ON auth_user, django_session, audit_writerkey FROM audit_reader;
-- Second factors and tokens of logins neither, where django-allauth is in use.
DO $$
DECLARE
    secret text;
BEGIN
    FOREACH secret IN ARRAY ARRAY['mfa_authenticator', 'socialaccount_socialtoken', 'socialaccount_socialapp'] LOOP
        IF to_regclass(secret) IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON %I FROM audit_reader', secret);
        END IF;
    END LOOP;
END
$$;
-- What Django has applied is the owner's to write.
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM audit_app;

-- The application may look and append, and no more; partitions are reached through their parent alone.
DO $$
DECLARE
    partition regclass;
BEGIN
    REVOKE ALL ON audit_record FROM PUBLIC, audit_app, audit_reader;
    GRANT SELECT, INSERT ON audit_record TO audit_app;
    GRANT SELECT ON audit_record TO audit_reader;
    FOR partition IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'audit_record'::regclass LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, audit_app, audit_reader', partition);
    END LOOP;
END
$$;

-- Copies of archived records are added, and go with their partition, by a function of the owner's.
DO $$
DECLARE
    partition regclass;
BEGIN
    REVOKE ALL ON audit_archived_record FROM PUBLIC, audit_app, audit_reader;
    GRANT SELECT, INSERT ON audit_archived_record TO audit_app;
    GRANT SELECT ON audit_archived_record TO audit_reader;
    FOR partition IN
        SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'audit_archived_record'::regclass
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, audit_app, audit_reader', partition);
    END LOOP;
END
$$;

REVOKE ALL ON audit_quarantine FROM PUBLIC, audit_app, audit_reader;
GRANT SELECT, INSERT ON audit_quarantine TO audit_app;
GRANT SELECT ON audit_quarantine TO audit_reader;

-- Values that can be erased are added; they go by the function audit_erase alone, which notes what it erased.
REVOKE ALL ON audit_erasable, audit_erased, audit_erasureprogress, audit_erasurerequest, audit_erasuredecision
    FROM PUBLIC, audit_app, audit_reader;
GRANT SELECT, INSERT ON audit_erasable, audit_erasurerequest, audit_erasuredecision TO audit_app;
GRANT SELECT ON audit_erased, audit_erasureprogress TO audit_app;
GRANT SELECT ON audit_erasable, audit_erased, audit_erasureprogress, audit_erasurerequest, audit_erasuredecision
    TO audit_reader;

-- A signature under a day is added to, and never changed.
REVOKE ALL ON audit_review FROM PUBLIC, audit_app, audit_reader;
GRANT SELECT, INSERT ON audit_review TO audit_app;
GRANT SELECT ON audit_review TO audit_reader;

-- Backups, drills and cross-links are noted once.
REVOKE ALL ON audit_backup, audit_restoredrill, audit_crosslink FROM PUBLIC, audit_app, audit_reader;
GRANT SELECT, INSERT ON audit_backup, audit_restoredrill, audit_crosslink TO audit_app;
GRANT SELECT ON audit_backup, audit_restoredrill, audit_crosslink TO audit_reader;

-- Each revision of a schema is added, and never changed.
REVOKE ALL ON audit_eventschema FROM PUBLIC, audit_app, audit_reader;
GRANT SELECT, INSERT ON audit_eventschema TO audit_app;
GRANT SELECT ON audit_eventschema TO audit_reader;

-- Holds, and what two people decide about retention, are appended. Floors and releases are views of it.
REVOKE ALL ON audit_legalhold, audit_retentionrequest, audit_retentiondecision, audit_floor, audit_holdrelease
    FROM PUBLIC, audit_app, audit_reader;
GRANT SELECT, INSERT ON audit_legalhold, audit_retentionrequest, audit_retentiondecision TO audit_app;
GRANT SELECT ON audit_legalhold, audit_retentionrequest, audit_retentiondecision TO audit_reader;
GRANT SELECT ON audit_floor, audit_holdrelease TO audit_app, audit_reader;
-- What was removed is noted by the functions that remove it, and by nobody else.
REVOKE ALL ON audit_purged, audit_purgerun, audit_purgecount, audit_purgemonth FROM PUBLIC, audit_app, audit_reader;
GRANT SELECT ON audit_purged, audit_purgerun, audit_purgecount, audit_purgemonth TO audit_app, audit_reader;

-- The log grows at its end; only what waits for the sealer is ever taken away.
REVOKE ALL ON audit_leaf, audit_node, audit_head, audit_checkpoint, audit_cosignature, audit_unsealed, audit_intent
    FROM PUBLIC, audit_app, audit_reader;
GRANT SELECT, INSERT ON audit_leaf, audit_node, audit_checkpoint, audit_cosignature TO audit_app;
-- The newest head is replaced by the next one; a trigger lets it move on alone.
GRANT SELECT, INSERT, UPDATE ON audit_head TO audit_app;
GRANT SELECT, INSERT, DELETE ON audit_unsealed TO audit_app;
-- What is intended next is written over what is sealed.
GRANT SELECT, INSERT, UPDATE ON audit_intent TO audit_app;
GRANT SELECT ON audit_leaf, audit_node, audit_head, audit_checkpoint, audit_cosignature, audit_unsealed, audit_intent
    TO audit_reader;

-- Noted by a trigger, and read.
REVOKE ALL ON audit_stray FROM PUBLIC, audit_app, audit_reader;
GRANT SELECT ON audit_stray TO audit_app, audit_reader;

-- Runs of verification that are kept no longer are counted by the function that removes them, and by nobody else.
REVOKE ALL ON audit_forgottenruns FROM PUBLIC, audit_app, audit_reader;
GRANT SELECT ON audit_forgottenruns TO audit_app, audit_reader;

-- What a check of an archive said is added to, and never changed.
REVOKE UPDATE ON audit_archivecheck FROM audit_app;

-- What was found, decided and noted is written on, and never taken away.
REVOKE DELETE, TRUNCATE ON
    audit_verification,
    audit_finding,
    audit_logresume,
    audit_discard,
    audit_rightsrequest,
    audit_episode,
    audit_gap,
    audit_manifest,
    audit_brokenpromise,
    audit_expectation,
    audit_unmet,
    audit_waiver,
    audit_export,
    audit_archive,
    audit_archivevolume,
    audit_archivecheck,
    audit_missedreview,
    audit_loss,
    audit_redactionrule,
    audit_erasurerule,
    audit_report,
    audit_account,
    audit_passage,
    audit_promise,
    audit_rejection,
    audit_dayrecord,
    audit_stream
FROM audit_app;
