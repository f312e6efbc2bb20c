"""A dead event is corrected on its page: the new record, what it says of the old one, and what stays as it was."""

import json
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import uuid_utils.compat
from django.test import Client

import dlq.stream
from audit.ingest import invalid
from audit.models import Record
from dlq.message import Document, Message, digest_of
from tests.admin.conftest import parked_message
from tests.audit.conftest import an_event

pytestmark = pytest.mark.usefixtures("own_queue")

PARKED = "/admin/audit/parked/"
WHY = {"reason": "the writer says so"}


def test_a_mended_event_is_a_new_one_that_names_the_old_which_leads_to_it(
    operator: Client, superuser_client: Client, parked: Message
) -> None:
    dlq.stream.for_drain().fail(parked, "DataError", "never", dead=True)
    document = json.loads(parked.body) | {"severity": "corrected"}
    page = operator.post(f"{PARKED}{parked.id}/correct/", {"event": json.dumps(document), **WHY}, follow=True)
    assert "Recorded as the new event" in page.content.decode()
    new = Record.objects.get(parent_event_id=parked.key)
    assert (new.severity, new.writer, str(new.id) != parked.key) == ("corrected", "auditsite", True)
    old = dlq.stream.for_drain().pages.get(parked.id)
    assert old is not None
    assert (old.body, old.state) == (parked.body, "dead")
    noted = Record.objects.get(event_type="audit.parked.corrected", event_data__event_id=parked.key)
    assert (noted.event_data["corrected_event_id"], noted.event_data["reason"]) == (str(new.id), WHY["reason"])
    link = f'href="/admin/audit/record/{new.id}/change/"'
    shown = superuser_client.get(f"{PARKED}{parked.id}/change/").content.decode()
    assert f"Corrected by {noted.actor_id}" in shown and link in shown
    assert f'value="corrected as {new.id}"' in shown and "Record the new event" not in shown
    assert link in superuser_client.get(PARKED, {"q": parked.key}).content.decode()


def test_the_record_that_a_correction_made_says_so_and_its_parent_is_no_dead_link(
    operator: Client, auditor: Client, parked: Message
) -> None:
    dlq.stream.for_drain().fail(parked, "DataError", "never", dead=True)
    corrected(operator, parked)
    new = Record.objects.get(parent_event_id=parked.key)
    page = auditor.get(f"/admin/audit/record/{new.id}/change/").content.decode()
    assert re.search(rf"Corrected by operator-\w+, .* from an event of tests that was parked as .*{parked.key}", page)
    assert f"Their reason: {WHY['reason']}" in page
    assert f'href="/admin/audit/record/{parked.key}/change/"' not in page
    listed = auditor.get("/admin/audit/record/", {"q": f"correlation:{new.correlation_id}"}).content.decode()
    assert listed.count(">corrected</span>") == 1
    assert "is not among the records that you may see" in page


def an_invalid_event() -> Message:
    document = an_event(event_outcome="ok") | {"event_id": str(uuid.uuid4())}
    raw, now = json.dumps(document).encode(), datetime.now(UTC)
    key = str(uuid_utils.compat.uuid7())
    dlq.stream.for_drain().park([Document(key, digest_of(raw), raw, "tests", invalid.KIND, now)], reason="invalid")
    message = dlq.stream.for_drain().pages.find(key)
    assert message is not None
    dlq.stream.for_drain().fail(message, "Invalid", "event_outcome: wrong", dead=True)
    return message


def test_what_was_typed_stays_in_the_open_editor_beside_what_is_wrong_with_it(operator: Client) -> None:
    message = an_invalid_event()
    shown = operator.get(f"{PARKED}{message.id}/change/").content.decode()
    assert "Correct and send again" in shown and "Retry now" not in shown
    assert f"the event_id in its payload is {json.loads(message.body)['event_id']}" in shown
    typed = corrected(operator, message, event_action="typed-by-hand")
    assert "<details open>" in typed and "typed-by-hand" in typed.partition("<textarea")[2]
    assert "<code>event_outcome</code>: must be success, failure or pending, not &#x27;ok&#x27;" in typed
    retried = operator.post(f"{PARKED}{message.id}/retry/", follow=True).content.decode()
    assert "It will fail again" in retried


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": "1.0"}', '{"half": "\\ud800"}'])
def test_what_is_still_wrong_is_named_and_nothing_is_done(operator: Client, parked: Message, text: str) -> None:
    dlq.stream.for_drain().fail(parked, "DataError", "never", dead=True)
    page = operator.post(f"{PARKED}{parked.id}/correct/", {"event": text, **WHY}, follow=True).content.decode()
    assert "Nothing was done" in page
    assert not Record.objects.filter(parent_event_id=parked.key).exists()


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1_001])
def test_without_a_reason_nothing_is_corrected_and_what_was_typed_stays(
    operator: Client, parked: Message, reason: str
) -> None:
    dlq.stream.for_drain().fail(parked, "DataError", "never", dead=True)
    form = {"event": json.dumps(json.loads(parked.body) | {"severity": "typed-by-hand"}), "reason": reason}
    page = operator.post(f"{PARKED}{parked.id}/correct/", form).content.decode()
    assert "say why it is corrected so" in page and "typed-by-hand" in page.partition("<textarea")[2]
    assert not Record.objects.filter(parent_event_id=parked.key).exists()


def corrected(client: Client, message: Message, **changes: Any) -> str:
    document = json.loads(message.body) | changes
    answer = client.post(f"{PARKED}{message.id}/correct/", {"event": json.dumps(document), **WHY}, follow=True)
    return answer.content.decode()


def test_only_a_dead_event_of_a_writer_is_corrected_and_once(operator: Client, parked: Message) -> None:
    queue = dlq.stream.for_drain()
    assert "is not dead" in corrected(operator, parked)
    queue.fail(parked, "DataError", "never", dead=True)
    assert "begin with &#x27;audit.&#x27;" in corrected(operator, parked, event_type="audit.parked.discarded")
    assert "Recorded as the new event" in corrected(operator, parked, source_seq=7, source_epoch="b")
    assert Record.objects.get(parent_event_id=parked.key).source_seq is None
    assert "was corrected before" in corrected(operator, parked)
    own = parked_message()
    entry = {b"key": b"own", b"digest": own.digest, b"body": own.body, b"source": b"auditsite"}
    queue.redis.xadd(queue.keys.stream, entry)
    message = queue.pages.page(limit=1, newest_first=True)[0]
    queue.fail(message, "DataError", "never", dead=True)
    assert "nobody corrects those" in corrected(operator, message)
    queue.redis.xdel(queue.keys.stream, message.id)
    queue.redis.zrem(queue.keys.dead, message.id)


REFUSE_POISON = """
CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'poison' USING ERRCODE = '22P05'; END $$;
CREATE TRIGGER poison BEFORE INSERT ON audit_record FOR EACH ROW
WHEN (NEW.severity = 'poison') EXECUTE FUNCTION refuse_poison()
"""


def test_a_correction_that_could_not_be_recorded_does_not_forbid_the_next(
    operator: Client, parked: Message, superuser: psycopg.Connection[Any]
) -> None:
    dlq.stream.for_drain().fail(parked, "DataError", "never", dead=True)
    superuser.execute(REFUSE_POISON.encode())
    try:
        assert "Nothing was done" in corrected(operator, parked, severity="poison")
    finally:
        superuser.execute(b"DROP FUNCTION refuse_poison CASCADE")
    assert not Record.objects.filter(event_type="audit.parked.corrected", event_data__event_id=parked.key).exists()
    assert "Recorded as the new event" in corrected(operator, parked, severity="mended")
