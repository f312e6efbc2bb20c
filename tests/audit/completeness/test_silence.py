"""How long writers are usually silent, and who is silent for longer."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from audit.access import api_keys
from audit.completeness import silence as usual_silence
from audit.completeness.silence import Silence
from audit.models import Heartbeat, Rhythm, Writer
from tests.audit.completeness.conftest import manage_skewed
from tests.audit.conftest import Sender, sealed_event

BEGAN = datetime(2026, 8, 18, 10, tzinfo=UTC)


@pytest.fixture
def writer() -> str:
    return f"writer-{secrets.token_hex(4)}"


def heard(writer: str, *, every_s: float, count: int = 30) -> datetime:
    """A writer that is heard so often; return when it was heard last."""
    times = [BEGAN + timedelta(seconds=every_s * n) for n in range(count)]
    usual_silence.apply(sealed_event(writer, at) for at in reversed(times))
    return times[-1]


def silence(writer: str, now: datetime) -> Silence | None:
    return next((one for one in usual_silence.silent(now) if one.writer == writer), None)


def expired(writer: Writer) -> None:
    writer.keys.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))


def test_three_times_the_longest_silence_of_the_week_is_too_long(writer: str) -> None:
    last = heard(writer, every_s=600)
    assert silence(writer, last + timedelta(seconds=1_800)) is None
    found = silence(writer, last + timedelta(seconds=1_801))
    assert found == Silence(writer, last, 600.0)


def test_ten_minutes_are_never_too_long(writer: str) -> None:
    last = heard(writer, every_s=1)
    assert silence(writer, last + timedelta(seconds=600)) is None
    assert silence(writer, last + timedelta(seconds=601)) is not None


def test_few_events_are_no_rhythm(writer: str) -> None:
    last = heard(writer, every_s=1, count=usual_silence.LEAST_EVENTS - 1)
    assert silence(writer, last + timedelta(days=30)) is None


@pytest.mark.parametrize("end", [api_keys.revoke, expired])
def test_a_writer_that_was_switched_off_for_good_is_named_for_a_week(end: Callable[[Writer], object]) -> None:
    writer = Sender("write").writer
    last = heard(writer.name, every_s=1)
    assert silence(writer.name, last + timedelta(days=8)) is not None
    end(writer)
    assert silence(writer.name, last + timedelta(days=6)) is not None
    assert silence(writer.name, last + timedelta(days=8)) is None


def test_what_was_imported_for_a_writer_without_a_key_is_called_silent_for_a_week(writer: str) -> None:
    last = heard(writer, every_s=1)
    assert silence(writer, last + timedelta(days=6)) is not None
    assert silence(writer, last + timedelta(days=8)) is None


def test_a_heartbeat_is_a_sign_of_life(writer: str) -> None:
    last = heard(writer, every_s=1)
    Heartbeat.objects.create(writer=writer, at=last + timedelta(hours=1))
    assert silence(writer, last + timedelta(hours=1, seconds=600)) is None
    assert silence(writer, last + timedelta(hours=1, seconds=601)) is not None


def test_a_long_silence_is_forgotten_after_a_week(writer: str) -> None:
    last = heard(writer, every_s=1)
    usual_silence.apply([sealed_event(writer, last + timedelta(days=2))])
    assert max(Rhythm.objects.get(writer=writer).longest.values()) == 2 * 86_400
    later = last + timedelta(days=2)
    usual_silence.apply(sealed_event(writer, later + timedelta(hours=12 * n)) for n in range(1, 25))
    assert max(Rhythm.objects.get(writer=writer).longest.values()) == 43_200


def test_what_is_stored_late_changes_no_silence(writer: str) -> None:
    last = heard(writer, every_s=600)
    usual_silence.apply([sealed_event(writer, BEGAN + timedelta(seconds=5))])
    found = Rhythm.objects.get(writer=writer)
    assert (found.last_at, found.first_at, found.events) == (last, BEGAN, 31)


def silent_for(skew_s: float) -> set[str]:
    """The writers that a process whose own clock is wrong by so much calls silent."""
    code = "from audit.completeness import silence; print(*(each.writer for each in silence.silent()))"
    return set(manage_skewed(skew_s, "shell", "--no-imports", "--command", code).split())


@pytest.mark.slow
def test_a_process_whose_own_clock_is_wrong_accuses_and_excuses_nobody(writer: str) -> None:
    now = datetime.now(UTC)
    usual_silence.apply(sealed_event(writer, now - timedelta(seconds=n)) for n in range(30))
    gone = f"{writer}-gone"
    usual_silence.apply(sealed_event(gone, now - timedelta(hours=1, seconds=n)) for n in range(30))
    for skew_s in (7_200, -7_200):
        assert silent_for(skew_s) & {writer, gone} == {gone}
