"""Each alert rule, evaluated by Prometheus' own tool, fires on what is wrong and is silent up to it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.deploy import prometheus, queries

# Of each alert the series, its last value that is right, and its first that is wrong: a value, or how it goes on from
# minute to minute (`0+60x200` is the clock, as promtool has it: it begins at 0).
NOW, NEVER = "0+60x200", "0x200"
LIMITS: dict[str, tuple[str, str, str]] = {
    "ParkedEventsAboveLimit": ("dlq_depth", "100x200", "101x200"),
    "ClocksApart": ("audit_clock_skew_seconds", "4.9x200", "5x200"),
    "ParkedEventOld": ("dlq_oldest_age_seconds", "3600x200", "3601x200"),
    "DeadEvents": ("dlq_dead", "0x200", "1x200"),
    "QueueNotBalanced": ("dlq_balanced", "1x200", "0x200"),
    "QueueEventsLost": ("dlq_account_lost", "0x200", "1x200"),
    "QueueNotDurable": ("dlq_durable", "1x200", "0x200"),
    "QueueFull": ("dlq_room_hours", "4x200", "3.9x200"),
    "QueuePaused": ("dlq_paused", "0x200", "1x200"),
    "NobodyDrains": ("dlq_last_watch_timestamp_seconds", NOW, NEVER),
    "ScheduleHangs": ("dlq_last_tick_timestamp_seconds", NOW, NEVER),
    "SpoolWaits": ("dlq_spool_files", "0x200", "1x200"),
    "RedisDown": ("dlq_redis_up", "1x200", "0x200"),
    "PostgresqlDown": ("audit_breaker_open", "0x200", "1x200"),
    "EventsRefused": ("audit_nothing_kept_total", "7x200", "0+1x200"),
    "Findings": ('audit_findings{kind="ALTERED"}', "0x200", "1x200"),
    "NobodySeals": ("audit_log_lag_seconds", "60x200", "61x200"),
    "WitnessSilent": ('audit_log_cosigned_timestamp_seconds{witness="w"}', NOW, "-14400x200"),
    "NotVerified": ('audit_verified_timestamp_seconds{scope="newest"}', NOW, "-3600x200"),
    "EventsMissing": ('audit_missing_events{state="open"}', "0x200", "1x200"),
    "WriterSilent": ("audit_silent_writers", "0x200", "1x200"),
    "ExpectationsUnmet": ('audit_unmet_expectations{rule="r"}', "0x200", "1x200"),
    "EventsLost": ("audit_account_lost_events", "0x200", "1x200"),
    "NotReconciled": ("audit_reconciled_timestamp_seconds", NOW, "-3600x200"),
    "BrokenPromise": ('audit_broken_promises{state="open"}', "0x200", "1x200"),
    "ReceiptsUnsigned": ("audit_receipts_unsigned_total", "7x200", "0+1x200"),
    "ReviewMissed": ('audit_missed_reviews{state="open"}', "0x200", "1x200"),
    "ExportFailed": ('audit_exports{state="failed"}', "0x200", "1x200"),
    "ExportStuck": ("audit_export_still_seconds", "900x200", "901x200"),
    "BackupOld": ('audit_backup_timestamp_seconds{act="backup"}', NOW, f"-{26 * 3600}x200"),
    "StreamBehind": ('audit_stream_lag_seconds{target="t"}', "900x200", "901x200"),
    "StreamLeavesOut": ('audit_stream_left_out_records{target="t"}', "7x200", "0+1x200"),
}
# The other half of a rule that has two: that the newest checkpoint is old, or of a clock that is ahead.
SEALED_LONG_AGO = ("audit_log_signed_timestamp_seconds", NOW, "-7500x200")
SEALED_AHEAD = ("audit_log_signed_timestamp_seconds", NOW, "7500+120x200")
AFTER_MINUTES = 90


def scene(series: dict[str, str], firing: list[str]) -> dict[str, object]:
    """A case of promtool: these series, and which alerts fire after an hour and a half, and no others."""
    known = {LIMITS["BackupOld"][0]: NOW} | series
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in known.items()],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{AFTER_MINUTES}m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing],
            }
        ],
    }


def refusal(folder: Path, scenes: list[dict[str, object]]) -> str:
    """What promtool says against the scenes; "" where the rules do what they say."""
    if prometheus.tool() is None:
        pytest.skip(prometheus.INSTALL)
    file = folder / "scenes.json"  # JSON is YAML
    given = {"rule_files": [str(queries.ALERTS)], "evaluation_interval": "1m", "tests": scenes}
    file.write_text(json.dumps(given), encoding="utf-8")
    run = subprocess.run([str(prometheus.tool()), "test", "rules", str(file)], capture_output=True, text=True)
    return run.stdout + run.stderr if run.returncode else ""


def test_each_alert_has_a_limit_here() -> None:
    assert [rule["alert"] for rule in queries.rules()] == list(LIMITS)


@pytest.mark.slow
def test_each_alert_fires_on_what_is_wrong_and_no_other_does(tmp_path: Path) -> None:
    wrong = [scene({series: value}, [name]) for name, (series, _, value) in LIMITS.items()]
    wrong += [scene({series: value}, ["NobodySeals"]) for series, _, value in (SEALED_LONG_AGO, SEALED_AHEAD)]
    assert refusal(tmp_path, wrong) == ""


@pytest.mark.slow
def test_no_alert_fires_up_to_its_limit(tmp_path: Path) -> None:
    right = {series: value for series, value, _ in (*LIMITS.values(), SEALED_LONG_AGO)}
    assert refusal(tmp_path, [scene(right, [])]) == ""


@pytest.mark.slow
def test_a_store_that_was_never_backed_up_is_told_of(tmp_path: Path) -> None:
    never = scene({}, ["BackupOld"])
    never["input_series"] = []
    assert refusal(tmp_path, [never]) == ""


@pytest.mark.slow
def test_a_rule_that_does_something_else_is_seen(tmp_path: Path) -> None:
    assert "alertname" in refusal(tmp_path, [scene({"dlq_depth": "101x200"}, [])])
