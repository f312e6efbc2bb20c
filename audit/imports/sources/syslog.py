"""A line of syslog as RFC 5424 has it, strictly; what is none is at fault, and kept as it came."""

import re
from typing import Any

from audit.formats.canonical import Unreadable

FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock", *(f"local{number}" for number in range(8))),
)
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
MAX_PRI = len(FACILITIES) * len(SEVERITIES) - 1
NIL = "-"
_SD_NAME = r"[!#-<>-\\^-~]{1,32}"
_PARAM = rf'{_SD_NAME}="(?:[^"\\\]]|\\.)*"'
_HEADER = re.compile(
    r"<(?P<pri>[0-9]{1,3})>(?P<version>[1-9][0-9]{0,2}) (?P<timestamp>\S{1,64}) (?P<hostname>[!-~]{1,255}) "
    r"(?P<app_name>[!-~]{1,48}) (?P<procid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) ?"
)
_ELEMENT = re.compile(rf"\[(?P<id>{_SD_NAME})(?P<params>(?: {_PARAM})*)\]", re.DOTALL)
_PAIR = re.compile(rf'(?P<name>{_SD_NAME})="(?P<value>(?:[^"\\\]]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')
BYTE_ORDER_MARK = "\ufeff"


def parse(line: str) -> Any:
    """Return the parts of a line, and the line itself; an `Unreadable` for what is no line of RFC 5424."""
    header = _HEADER.match(line)
    if header is None:
        return Unreadable(
            {"": "not a line of RFC 5424: it begins with no <priority>, version, time, host and so on"}, line
        )
    if (pri := int(header["pri"])) > MAX_PRI:
        return Unreadable({"pri": f"is {pri}: RFC 5424 has priorities to {MAX_PRI}"}, line)
    data, end = _structured_data(line, header.end())
    if data is None or line[end : end + 1] not in ("", " "):
        return Unreadable({"structured_data": f"is not as RFC 5424 has it, from character {header.end() + 1}"}, line)
    found: dict[str, Any] = {"facility": FACILITIES[pri // 8], "severity": SEVERITIES[pri % 8]}
    found |= {name: value for name, value in header.groupdict().items() if name != "pri" and value != NIL}
    if data:
        found["structured_data"] = data
    if message := line[end + 1 :].removeprefix(BYTE_ORDER_MARK):
        found["message"] = message
    return found | {"line": line}


def _structured_data(line: str, start: int) -> tuple[dict[str, Any] | None, int]:
    """Return the elements that begin at `start`, by id, and where they end; None where they are not as they should."""
    if line[start : start + 1] == NIL:
        return {}, start + 1
    elements: dict[str, Any] = {}
    end = start
    while element := _ELEMENT.match(line, end):
        parameters: dict[str, Any] = elements.setdefault(element["id"], {})
        for pair in _PAIR.finditer(element["params"]):
            _add(parameters, pair["name"], _ESCAPED.sub(r"\1", pair["value"]))
        end = element.end()
    return (elements, end) if elements else (None, start)


def _add(parameters: dict[str, Any], name: str, value: str) -> None:
    """A name may stand several times: then it has all of its values."""
    if name in parameters:
        before = parameters[name]
        value = [*(before if isinstance(before, list) else [before]), value]  # type: ignore[assignment]
    parameters[name] = value
