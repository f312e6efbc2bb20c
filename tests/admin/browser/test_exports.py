"""Evidence bundles in a real Chromium: clean and accessible in each state, and a file that a browser opens."""

import zipfile
from pathlib import Path

import pytest
from django.conf import settings

from audit.archive import read
from audit.evidence import build, export, statements
from audit.evidence.request import Requester
from audit.models import Export
from tests.admin.browser.conftest import Visitor
from tests.admin.conftest import person
from tests.audit.archive.conftest import archived, begun, checked
from tests.audit.evidence.conftest import HOSTILE, sealed

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.long
def test_the_pages_of_archives_are_clean_and_accessible(visitor: Visitor, tmp_path: Path) -> None:
    made, half = (
        archived(tmp_path / "made", 3, actor_id=HOSTILE, event_data={"text": HOSTILE}),
        begun(tmp_path / "half"),
    )
    read.read(Requester("tests"), tmp_path / "made")
    (tmp_path / "made" / HOSTILE.replace("/", "")).touch()
    assert checked(tmp_path / "made").verdict == "NOT COVERED"
    visitor.come_in(person("auditor"))
    of_list, of_records = "/admin/audit/archive/", "/admin/audit/archivedrecord/"
    pages = {
        "archives": of_list,
        "archive": f"{of_list}{made.pk}/change/",
        "archive-half": f"{of_list}{half.pk}/change/",
    }
    pages |= {"archived": of_records, "archived-record": f"{of_records}{made.pk}/{made.first}/"}
    for name, address in pages.items():
        visitor.open(address, name)
        assert visitor.findings_of_state(name) == [], name
    assert visitor.wrong == []
    read.forget(Requester("tests"), made)


@pytest.mark.long
def test_the_pages_of_bundles_are_clean_and_accessible(visitor: Visitor, tmp_path: Path) -> None:
    user = person("auditor")
    requester = Requester(user.username)
    waiting, cancelled, ready = (
        export.request(requester, query=f"correlation:{sealed(3, actor_id=HOSTILE)}", with_csv=True) for _ in range(3)
    )
    export.cancel(cancelled, requester)
    whole = build.resume(ready)
    half = export.request(requester, first=0, last=2)
    Export.objects.filter(pk=half.pk).update(state="running", done=1, total=2)
    visitor.come_in(user)
    pages = {"exports": "/admin/audit/export/", "records-export": "/admin/audit/record/?q=outcome:failure+after:7d"}
    said = statements.make(Requester(user.username), f"correlation:{sealed(1, actor_id=HOSTILE)}")
    pages |= {"statements": "/admin/audit/statement/?q=type:role.grant"}
    pages |= {"statement": f"/admin/audit/statement/{said.resource_id}/"}
    found = said.event_data["records"][0]["event_id"]
    pages |= {"record-export": f"/admin/audit/record/{found}/change/#prove"}
    pages |= {"redactions": "/admin/audit/redactionrule/"}
    pages |= {
        f"export-{found.state}": f"/admin/audit/export/{found.pk}/change/"
        for found in Export.objects.filter(pk__in=[waiting.pk, cancelled.pk, ready.pk, half.pk])
    }
    assert len(pages) == 10
    for name, address in pages.items():
        visitor.open(address, name)
        assert visitor.findings_of_state(name) == [], name
    assert visitor.wrong == []
    visitor.open(f"/admin/audit/export/{waiting.pk}/change/", "export-watched")
    build.resume(waiting)
    visitor.page.get_by_text("Download the bundle").wait_for()  # without anybody's loading the page again
    with zipfile.ZipFile(Path(settings.EXPORT_DIR) / whole.name) as bundle:
        bundle.extract("README.html", tmp_path)
    visitor.page.goto((tmp_path / "README.html").as_uri())
    visitor.picture(f"export-readme-{visitor.scheme}")
    # The page's own policy lets nothing run, the checker neither: what matters is that nothing tried to.
    assert "Evidence" in visitor.page.title()
    assert visitor.wrong == []
