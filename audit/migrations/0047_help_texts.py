"""Help texts in plain words: state alone, no SQL."""

from django.db import migrations

from audit.operations import Words


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0046_stray"),
    ]

    operations = [
        Words(
            "account",
            {
                "queued": "Stored after waiting in the dead letter queue (parked_at is set).",
                "spooled": "Stored from the local spool, without the queue.",
            },
        ),
        Words(
            "auditorscope",
            {
                "categories": "Limit to records of these categories (blank = all). Commas between.",
                "writers": "Limit to records of these writers (blank = all). Commas between.",
            },
        ),
        Words(
            "awaited",
            {
                "key": "Distinguishes it from others of the same rule and subject.",
                "ripe_at": "When it is due and can be judged.",
            },
        ),
        Words(
            "brokenpromise",
            {
                "promised": "The state that the receipt promised.",
                "told_at": "When the alarm was sent.",
            },
        ),
        Words(
            "dayrecord",
            {
                "part": "Starts at 1; a day with many writers takes several records.",
                "version": "Starts at 1; each later version corrects the one before.",
            },
        ),
        Words(
            "discard",
            {},
            {"asked_by": "requested by", "asked_at": "requested at"},
        ),
        Words(
            "expectation",
            {
                "first_leaf": "The first log entry that the rule applies to.",
                "met": "How often the rule was met.",
                "name": "Appears in records and alarms; cannot be changed later.",
                "next_day": "The first day that has not been judged yet.",
                "why": "Why these events must arrive.",
            },
        ),
        Words(
            "export",
            {
                "by_service": "Whether a service requested it by its key, not a person.",
                "bytes": "Size of the zip file.",
                "checkpoint": "The number of the checkpoint that all proofs refer to.",
                "done": "Records in finished volumes.",
                "first": "The first log entry of a range.",
                "last": "The log entry after the last one of a range.",
                "population": "How many records the sample is drawn from.",
                "query": "A query as in the search; a span such as 7d counts back from the request.",
                "received": "The times between which the records of the range were received, and how many there are.",
                "redaction": "The rules in force at the request (empty = nothing is redacted).",
                "sample": "Sample size (blank = all).",
                "seed": "The random seed of the sample.",
                "sight": "What the requester may see (empty = everything).",
                "total": "How many records it will hold, once known.",
                "unredacted": "Whether it was requested without redaction.",
                "volumes": "The finished volumes, with sizes and hashes.",
            },
        ),
        Words(
            "finding",
            {
                "run": "The run that saw it last.",
                "subject": "The kind of thing with the fault: record, leaf, node, checkpoint ...",
            },
        ),
        Words(
            "followed",
            {
                "batch": "How many log entries the next step reads.",
                "followed_at": "Everything stored before this time has been read.",
            },
        ),
        Words(
            "gap",
            {
                "after_at": "The event time of the number before: the missing events were made after it.",
                "before_at": "The event time of the number after: the missing events were made before it.",
                "first": "The first missing number when the gap was detected.",
                "last_late_at": "When the last of them arrived late.",
                "missing": "How many are still missing.",
                "tail": "Reported by a heartbeat: no later event has arrived yet.",
                "told_at": "When the alarm was sent.",
            },
        ),
        Words(
            "heartbeat",
            {
                "waiting_seq": "An earlier number that is still too recent to judge.",
            },
        ),
        Words(
            "hourcount",
            {
                "failures": "Events with the outcome failure.",
                "parked": "Events that came through the dead letter queue.",
            },
        ),
        Words(
            "loss",
            {
                "lost": "How many events were lost when the explanation was given.",
                "told_at": "When the alarm was sent.",
            },
        ),
        Words(
            "manifest",
            {
                "surplus": "Events that arrived beyond the stated number.",
                "told_at": "When the alarm was sent.",
            },
        ),
        Words(
            "missedreview",
            {
                "told_at": "When the alarm was sent.",
            },
        ),
        Words(
            "numbering",
            {
                "highest": "All numbers up to this one arrived, except those that the gaps list.",
                "highest_at": "The event time of the event with that number.",
                "reused": "Events with a number that another event already had.",
                "reused_first": "The first of them: number and record id.",
            },
        ),
        Words(
            "outboxalarm",
            {
                "taken_by": "The ways (e-mail, webhook) that already delivered it.",
            },
        ),
        Words(
            "passage",
            {
                "again": "How many of them came back from the quarantine.",
                "first": "The stream id of the first. A Redis that lost it starts a new count.",
                "here": "How many are in the queue; 0 if Redis no longer knows them.",
            },
        ),
        Words(
            "queuegeneration",
            {
                "base": "What the counters of a restored queue had already counted.",
                "last_id": "The highest id that its stream had assigned.",
                "restored": "What was detected when it was restored.",
                "told_at": "When the alarm about it was sent.",
            },
        ),
        Words(
            "redactionrule",
            {
                "event_type": (
                    "Only in events of this type (blank = all); gateway.* means all types that begin with gateway."
                ),
                "method": (
                    "remove: no value; digest: equal values of a bundle become the same code; mask: one letter is left."
                ),
                "name": "Appears in bundles and records; cannot be changed later.",
                "path": (
                    "A field such as actor_ip or event_data.user.email; * is any one name, ** any number of levels."
                ),
                "reason": "The law or duty that requires it. It appears in the bundle.",
            },
        ),
        Words(
            "rejection",
            {
                "life": "Which count in Redis this is; blank if counted by the store itself.",
            },
        ),
        Words(
            "report",
            {
                "beside": "Figures that no checkpoint fixes, as they were when the report was made.",
                "checkpoint": "The number of the checkpoint that the report is based on.",
                "done": "How many sections are finished.",
                "sight": "What the requester may see (empty = everything).",
            },
        ),
        Words(
            "review",
            {
                "exceptions": "How many exceptions the page showed when it was signed.",
                "number": "1 is the signature; later ones are countersignatures.",
            },
        ),
        Words(
            "rhythm",
            {
                "told_at": "When the alarm about its silence was sent.",
            },
        ),
        Words(
            "rightsrequest",
            {
                "subject": "The writer or person who would get the rights.",
            },
            {"asked_by": "requested by", "asked_at": "requested at"},
        ),
        Words(
            "savedview",
            {
                "owner": "The owner (blank if it came with a set of controls).",
                "query": "The query, as typed in the search.",
                "why": "What the search is for.",
            },
        ),
        Words(
            "unmet",
            {
                "began_by": "The record that started the wait.",
                "came": "How many arrived, for rules that count.",
                "met_at": "The event time of the event that met it late.",
                "met_by": "The record that met it late.",
                "told_at": "When the alarm was sent.",
                "wanted": "What was expected, in words, by the rule of that time.",
            },
        ),
        Words(
            "verification",
            {
                "counts": "How many of each kind were checked.",
                "first": "The first log entry that is checked.",
                "ids_position": "Records up to this id were checked for a log entry.",
                "last": "The log entry after the last one that is checked.",
                "position": "The log entry that is checked next.",
            },
        ),
        Words(
            "waiver",
            {
                "correlation": "Only this correlation (blank = any); order-* means all that begin with order-.",
                "writer": "Only this writer (blank = any).",
            },
        ),
        Words(
            "writer",
            {
                "is_lenient": (
                    "Accept its invalid events and keep them in the dead letter queue for a person to "
                    "correct, instead of rejecting them: for clients that drop rejected events and cannot "
                    "send Prefer: handling=lenient."
                ),
                "name": "Appears in every record of this writer; cannot be changed later.",
                "quota_bytes": "Bytes of requests with events, per UTC day (blank = no limit).",
                "quota_epochs": "Different source_epoch values per UTC day (blank = no limit).",
                "quota_events": "Events per UTC day (blank = no limit).",
                "quota_exports": (
                    "Evidence bundles requested per UTC day, including those of statements and reports (blank "
                    "= no limit)."
                ),
                "quota_manifests": "Manifests still waiting for some of their events (blank = no limit).",
                "reads_categories": "Limit read access to records of these categories (blank = all). Commas between.",
                "reads_writers": "Limit read access to records of these writers (blank = all). Commas between.",
            },
        ),
        Words(
            "writerkey",
            {
                "prefix": "The first characters of the key, to tell keys apart.",
                "subject": "The subject of tokens of JWT_ISSUER, where the writer uses tokens instead of a key.",
                "used_at": "When a request last used this key, to the minute.",
            },
        ),
    ]
