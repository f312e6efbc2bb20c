"""The calls in groups, each with its title: what a person who reads the description looks for."""

from typing import Any, NamedTuple


class Group(NamedTuple):
    """Calls that belong together: what for, and the title of each by the id of its operation."""

    name: str
    purpose: str
    titles: dict[str, str]


GROUPS = (
    Group(
        "Send",
        "Scope `write`: events, and what makes a missing event visible.",
        {
            "record_event": "Send an event",
            "record_batch": "Send up to 1,000 events",
            "import_events": "Send events of another system, by the name of a mapping",
            "import_kubernetes": "Send the audit events of a Kubernetes API server",
            "import_cloudevents": "Send CloudEvents",
            "import_otlp": "Send logs of OpenTelemetry",
            "post_heartbeat": "Say that the writer lives, and how many events it made",
            "post_manifest": "State which events were made in a window",
            "get_manifest": "Compare a manifest with what is stored",
            "verify_receipts": "Verify receipts: what became of their events",
            "get_receipt_keys": "Get the public keys of receipts",
        },
    ),
    Group(
        "Read",
        "Scope `read`. What is read is recorded before it is answered.",
        {
            "find_events": "Find records",
            "get_event": "Get a record, or a parked event",
            "get_account": "Get the account of days: received, and what became of it",
        },
    ),
    Group(
        "Verify",
        "Scope `read`: proofs that hold without trust in this store.",
        {
            "verify_chain": "Verify all records of a correlation",
            "get_proof": "Get the proof of a record",
            "get_bundle": "Get a record with its proof",
            "get_checkpoint": "Get the newest checkpoint",
            "get_checkpoints": "List checkpoints, newest first",
            "get_checkpoint_keys": "Get the public keys of the log",
            "get_consistency": "Prove that an older tree is part of a newer one",
            "get_tile": "Get a tile of hashes",
            "get_entries": "Get the entries of a tile",
            "get_log_entries": "Get the records of the log from an entry on",
        },
    ),
    Group(
        "Export",
        "Scope `export`: evidence to take away, made in the background.",
        {
            "get_extract": "Get a small signed extract at once",
            "post_export": "Begin an evidence bundle",
            "get_export": "Get how far a bundle is",
            "cancel_export": "Cancel a bundle",
            "resume_export": "Resume a bundle",
            "get_export_file": "Get a file of a bundle",
            "post_statement": "Make a signed statement of a count",
            "get_statement": "Get a statement",
            "post_statement_bundle": "Begin the bundle of a statement",
            "post_report": "Begin a compliance report",
            "get_report": "Get how far a report is",
            "get_report_file": "Get a file of a report",
            "post_report_bundle": "Begin the bundle of a report",
        },
    ),
    Group(
        "Legal holds",
        "Scope `hold`: what may not be purged.",
        {
            "list_legal_holds": "List the holds in force",
            "place_legal_hold": "Place a hold on a correlation",
            "release_legal_hold": "Release a hold",
        },
    ),
    Group(
        "Erasures",
        "Scope `erase`: values that shall be erased. A person decides.",
        {
            "ask_erasure": "Ask for an erasure",
            "list_erasures": "List the erasures that the key has asked for",
            "get_erasure": "Get what became of an erasure",
        },
    ),
    Group(
        "Schemas",
        "What `event_data` of a type of events has to fit. Scope `schema` to register; `write` or `read` to look.",
        {
            "list_schemas": "List what holds of each type",
            "list_schema_revisions": "List the revisions of a schema",
            "get_schema_revision": "Get a revision of a schema",
            "register_schema": "Register a schema, or set its mode",
        },
    ),
    Group(
        "Clients of Kubernaut's Data Storage",
        "What its clients call beside the calls above. What this store does not do answers 501, and says why.",
        {
            "record_notification": "Send a notification audit",
            "refuse_reconstruct": "Reconstruct a remediation request: not done here",
            "refuse_effectiveness": "Get the effectiveness of a remediation: not done here",
            "refuse_remediation_history": "Get the history of remediations: not done here",
        },
    ),
)


def arrange(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give each call its group and its title. A hook of drf-spectacular; a call without a group is a `KeyError`."""
    group_of = {name: group for group in GROUPS for name in group.titles}
    for path in result["paths"].values():
        for call in path.values():
            group = group_of[call["operationId"]]
            call.update(tags=[group.name], summary=group.titles[call["operationId"]])
    result["tags"] = [{"name": group.name, "description": group.purpose} for group in GROUPS]
    return result
