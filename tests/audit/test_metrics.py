"""What an alert looks at is there before it first happens: what is added to nothing is no increase."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SAID = "import audit.metrics, dlq.metrics, prometheus_client as p; print(p.generate_latest().decode())"


def test_each_counter_whose_increase_is_an_alert_is_there_from_the_start() -> None:
    alerts = (ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8")
    counters = {*re.findall(r"(?:rate|increase)\((\w+_total)\b", alerts)}
    said = subprocess.run([sys.executable, "-c", SAID], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    there = {line.partition(" ")[0].partition("{")[0] for line in said.splitlines() if line.endswith(" 0.0")}
    assert {"audit_receipts_unsigned_total", "audit_nothing_kept_total"} <= counters <= there
