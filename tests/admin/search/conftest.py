"""The list of records, as a person asks for it."""

import re

RECORDS = "/admin/audit/record/"


def listed(page: str) -> list[str]:
    return re.findall(r'<th class="field-time[^>]*><a href="/admin/audit/record/([0-9a-f-]{36})/change/', page)
