"""A day's Parquet files are typed, whole, and what the log has: pyarrow and DuckDB read them."""

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audit.archive.folder import Folder
from audit.archive.span import Span
from audit.errors import ArchiveUnusable, Invalid
from audit.ledger import keys as log_keys
from audit.models import Leaf, Record
from audit.retention import purge
from audit.streams.days import columns, make, manifest
from audit.streams.days.check import check
from audit.streams.days.manifest import DayFault
from tests.audit.evidence.conftest import sealed
from tests.audit.retention.conftest import BEN, aged, ago, approved, seal, short
from tests.audit.streams.conftest import Scene
from tests.audit.streams.days_killed import DAY, killed_after, killed_after_each_write, leaves_of, small_files, span

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `parquet`", exc_type=ImportError)
parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)

__all__ = ["small_files", "span"]


def made(root: Path, **asked: Any) -> Path:
    return Path(make.make(DAY, root, by="op", **({"unredacted": True} | asked)))


def test_a_day_has_a_typed_row_for_each_record_and_a_signed_manifest(scene: Scene, span: Any, tmp_path: Path) -> None:
    scene.records(5, event_data={"n": 1.5, "text": "ü"}, duration_ms=7, source_seq=2**40)
    day = span()
    folder = made(tmp_path)
    assert folder.name == f"day={DAY}"
    assert sorted(path.name for path in folder.iterdir()) == ["_manifest.json", "_manifest.txt", "part-00001.parquet"]
    table = parquet.read_table(folder / "part-00001.parquet")
    assert table.schema.equals(columns.schema())
    assert table.schema.field("event_timestamp").type == pyarrow.timestamp("us", tz="UTC")
    rows = table.to_pylist()
    assert [row["leaf_index"] for row in rows] == [*range(day.first, day.last)]
    record = Record.objects.get(pk=rows[0]["event_id"])
    assert json.loads(rows[0]["event_data"]) == {"n": 1.5, "text": "ü"}
    assert (rows[0]["duration_ms"], rows[0]["source_seq"], rows[0]["is_sensitive"]) == (7, 2**40, False)
    assert rows[0]["stored_at"] == record.stored_at
    read = manifest.read(Folder(folder))
    assert (read.document["records"], read.first, read.last) == (day.last - day.first, day.first, day.last)
    assert check(folder).manifest.digest == read.digest


def test_duckdb_reads_the_folder_as_a_table_by_day(scene: Scene, span: Any, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", exc_type=ImportError)
    scene.records(4, event_outcome="failure", event_data={"user": {"name": "ann"}})
    day = span()
    made(tmp_path)
    found = duckdb.connect().execute(
        "SELECT count(*), min(leaf_index), max(event_timestamp) < now(), "
        "count(*) FILTER (event_data::JSON ->> '$.user.name' = 'ann'), any_value(day)::text "
        f"FROM read_parquet('{tmp_path}/*/*.parquet', hive_partitioning = true) WHERE event_outcome = 'failure'"
    )
    assert found.fetchone() == (4, day.first, True, 4, DAY)


def test_files_and_groups_of_rows_end_at_their_bounds(
    scene: Scene, span: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "RECORDS_PER_GROUP", 2)
    monkeypatch.setattr(make, "RECORDS_PER_FILE", 4)
    scene.records(9)
    day = span()
    folder = made(tmp_path)
    read = manifest.read(Folder(folder))
    assert [part.last - part.first for part in read.parts] == [4, 4, day.last - day.first - 8]
    assert parquet.ParquetFile(folder / read.parts[0].name).num_row_groups == 2
    assert check(folder).manifest.last == day.last


def test_a_purged_record_is_a_row_with_its_leaf(elsewhere: Any, scene: Scene, span: Any, tmp_path: Path) -> None:
    category = short()
    gone = aged(ago(40), event_category=category)
    seal()
    purge.run(approved(), by=BEN)
    seal()
    span()
    folder = made(tmp_path)
    rows = {row["event_id"]: row for row in parquet.read_table(folder / "part-00001.parquet").to_pylist()}
    leaf = Leaf.objects.get(record_id=gone)
    assert rows[str(gone)]["state"] == "purged" and rows[str(gone)]["leaf_hash"] == bytes(leaf.leaf_hash).hex()
    assert rows[str(gone)]["event_data"] is None
    # What was there before the scene began is none of its day.
    assert check(folder).manifest.purged == sum(row["state"] == "purged" for row in rows.values()) >= 1


def test_what_is_changed_is_found(scene: Scene, span: Any, tmp_path: Path) -> None:
    scene.records(3)
    day = span()
    folder = made(tmp_path)
    part = folder / "part-00001.parquet"
    body = part.read_bytes()
    part.write_bytes(body[:-1])
    with pytest.raises(DayFault, match="is not the file that was signed"):
        check(folder)
    part.unlink()
    with pytest.raises(DayFault, match="is missing: log entries"):
        check(folder)
    part.write_bytes(body)
    text = (folder / "_manifest.json").read_text(encoding="utf-8")
    (folder / "_manifest.json").write_text(text.replace(f'"last": {day.last}', f'"last": {day.last - 1}'), "utf-8")
    with pytest.raises(DayFault, match="is not the manifest that was signed"):
        check(folder)


def test_rows_that_the_log_does_not_have_are_found_under_a_signature_too(
    scene: Scene, span: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody with the key could sign them."""
    scene.records(3)
    span()
    with monkeypatch.context() as patch:
        patch.setattr(columns, "table", partial(changed, columns.table))
        folder = made(tmp_path)
    with pytest.raises(DayFault, match=f"the row of log entry {scene.first + 1} is not what the log has"):
        check(folder)


def test_a_manifest_of_another_range_than_the_logs_is_found(scene: Scene, span: Any, tmp_path: Path) -> None:
    scene.records(3)
    span()
    folder = made(tmp_path)
    sealed(1)
    span()
    with pytest.raises(DayFault, match="and the log has for that day"):
        check(folder)


def test_a_day_that_is_whole_is_not_made_again(scene: Scene, span: Any, tmp_path: Path) -> None:
    scene.records(2)
    span()
    folder = made(tmp_path)
    with pytest.raises(ArchiveUnusable, match="is whole already"):
        made(tmp_path)
    assert not (folder / ".making").exists()


@pytest.mark.slow
def test_a_day_that_is_killed_after_any_write_goes_on_behind_its_last_file(
    scene: Scene, span: Any, tmp_path: Path, small_files: None
) -> None:
    scene.records(7)
    day = span()
    for roots in killed_after_each_write(lambda number: tmp_path / f"{number}", made):
        folder = roots / f"day={DAY}"
        assert leaves_of(folder) == [*range(day.first, day.last)]
        assert check(folder).manifest.document["records"] == day.last - day.first


def test_files_of_before_are_gone_on_with_only_as_they_were_written(
    scene: Scene, span: Any, tmp_path: Path, small_files: None
) -> None:
    """By the same way of redaction, with the bytes that the store has recorded, and with nothing beside them."""
    scene.records(7)
    span()
    folder = tmp_path / f"day={DAY}"
    killed_after(5, lambda: made(tmp_path))
    first, second = folder / "part-00001.parquet", folder / "part-00002.parquet"
    assert second.exists()
    with pytest.raises(ArchiveUnusable, match="was written with --unredacted: run the command with --unredacted"):
        made(tmp_path, unredacted=False)
    body = second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(ArchiveUnusable, match="no record says that this store wrote it to begin with log entry"):
        made(tmp_path)
    second.write_bytes(body)
    (folder / "part-00009.parquet").write_bytes(body)
    with pytest.raises(ArchiveUnusable, match=r"has part-00009\.parquet in it, which does not follow on its files"):
        made(tmp_path)
    (folder / "part-00009.parquet").unlink()
    check(made(tmp_path))


def test_a_file_after_the_end_of_the_day_is_refused_before_anything_is_signed(
    scene: Scene, span: Any, tmp_path: Path
) -> None:
    scene.records(2)
    span()
    killed_after(3, lambda: made(tmp_path))
    folder = tmp_path / f"day={DAY}"
    shutil.copy(folder / "part-00001.parquet", folder / "part-00002.parquet")
    with pytest.raises(ArchiveUnusable, match=r"part-00002\.parquet is there, and the day ends before it"):
        made(tmp_path)
    assert not (folder / "_manifest.json").exists()


def test_a_file_of_the_store_whose_rows_are_not_the_logs_is_not_signed(
    scene: Scene, span: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the log of a restored store has other leaves in their place."""
    scene.records(3)
    span()
    with monkeypatch.context() as patch:
        patch.setattr(columns, "table", partial(changed, columns.table))
        killed_after(3, lambda: made(tmp_path))
    with pytest.raises(ArchiveUnusable, match=f"its row of log entry {scene.first + 1} is not what the log has"):
        made(tmp_path)


def test_a_manifest_that_the_store_did_not_make_is_not_signed(scene: Scene, span: Any, tmp_path: Path) -> None:
    scene.records(2)
    span()
    killed_after(5, lambda: made(tmp_path))
    text = tmp_path / f"day={DAY}" / "_manifest.json"
    said = text.read_text(encoding="utf-8")
    text.write_text(said.replace('"purged": 0', '"purged": 1'), encoding="utf-8")
    with pytest.raises(ArchiveUnusable, match="no record says that this store made it of these files"):
        made(tmp_path)
    text.write_text(said, encoding="utf-8")
    check(made(tmp_path))


def test_a_file_that_no_manifest_names_is_found(scene: Scene, span: Any, tmp_path: Path) -> None:
    """Whoever reads the folder as a table would read it too."""
    scene.records(1)
    span()
    folder = made(tmp_path)
    shutil.copy(folder / "part-00001.parquet", folder / "more.parquet")
    with pytest.raises(DayFault, match=r"more\.parquet is there, and the manifest does not name it"):
        check(folder)


def test_a_file_says_in_its_metadata_whether_rules_of_redaction_hold(
    scene: Scene, span: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.records(1)
    day = span()
    part = made(tmp_path) / "part-00001.parquet"
    said = json.loads(parquet.read_metadata(part).metadata[b"auditsite.day"])
    assert said == {"log": log_keys.load().origin, "day": DAY, "unredacted": True, "first": day.first}
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "text_of", partial(lying, manifest.text_of))
        folder = made(tmp_path / "other")
    with pytest.raises(DayFault, match=r"part-00001\.parquet and _manifest\.json differ in whether rules of redaction"):
        check(folder)


def changed(table: Any, lines: Any) -> Any:
    """The rows of the lines, but that the second record was received a second later."""
    rows = table(lines).to_pylist()
    rows[1]["received_at"] += timedelta(seconds=1)
    return pyarrow.Table.from_pylist(rows, schema=columns.schema())


def lying(text_of: Any, kind: Any, *given: Any, **named: Any) -> str:
    return str(text_of(kind._replace(unredacted=not kind.unredacted), *given, **named))


def test_that_a_day_leaves_the_store_is_a_record(scene: Scene, span: Any, tmp_path: Path) -> None:
    scene.records(1)
    day = span()
    folder = made(tmp_path)
    acts = Record.objects.filter(correlation_id=f"day-{DAY}", event_data__folder=str(folder))
    by_type = {act.event_type: act.event_data for act in acts}
    assert by_type.keys() == {"audit.day.begun", "audit.day.written", "audit.day.made"}
    assert by_type["audit.day.begun"]["unredacted"] is True
    part = manifest.read(Folder(folder)).parts[0]
    written = by_type["audit.day.written"]
    assert (written["sha256"], written["first"], written["last"]) == (part.sha256, day.first, day.last)
    assert by_type["audit.day.made"]["digest"] == manifest.read(Folder(folder)).digest
    assert by_type["audit.day.made"]["last"] == day.last


def test_a_day_is_what_was_sealed_in_it_once_something_was_sealed_after(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def read_span(first: str, last: str) -> Span:
        asked.append((first, last))
        return Span(0, 1, SimpleNamespace(created_at=datetime(2026, 11, sealed_on, tzinfo=UTC)))  # type: ignore[arg-type]

    monkeypatch.setattr(make, "read_span", read_span)
    sealed_on = 28
    assert make.span_of(date(2026, 11, 27)).last == 1
    assert asked == [("2026-11-27", "2026-11-28")]
    sealed_on = 27
    with pytest.raises(Invalid, match="nothing was sealed since"):
        make.span_of(date(2026, 11, 27))


def test_what_is_no_day_is_refused(scene: Scene, tmp_path: Path) -> None:
    scene.records(1)
    with pytest.raises(Invalid, match="is no day such as"):
        make.make("yesterday", tmp_path, by="op")
    with pytest.raises(Invalid, match="no record was sealed on 2020-01-01"):
        make.make("2020-01-01", tmp_path, by="op")
    with pytest.raises(Invalid, match="not over yet"):
        make.make(f"{datetime.now(UTC):%Y-%m-%d}", tmp_path, by="op")
