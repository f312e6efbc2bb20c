"""The files of the page that verifies in the browser: for everybody, without PostgreSQL, each with its policy."""

import io
import re
import zipfile
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from audit.verifier import page

NAMES = sorted(path.name for path in page.FOLDER.iterdir() if path.suffix in page.TYPES)


def refuse(*arguments: Any) -> None:
    raise AssertionError("the page asked PostgreSQL")


@pytest.mark.parametrize("name", ["", "icon.svg", "offline.zip", *NAMES])
def test_each_file_is_served_to_anybody_without_postgresql_and_without_a_cookie(name: str) -> None:
    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(refuse))
        response = Client().get(f"/verify/{name}")
    assert response.status_code == 200
    assert not response.cookies
    assert response["Content-Security-Policy"] == page.POLICY
    assert response["X-Content-Type-Options"] == "nosniff"


def test_what_is_no_file_of_the_page_is_not_served() -> None:
    for name in ("verify.py", "page.py", "__init__.py", "settings.py", "..", "x.js"):
        assert Client().get(f"/verify/{name}").status_code == 404
    assert Client().post("/verify/").status_code == 405


def test_all_that_the_page_loads_is_there() -> None:
    for name in NAMES:
        text = (page.FOLDER / name).read_text(encoding="utf-8")
        loaded = re.findall(r'from "\./([^"]+)"|Worker\("([^"]+)"|<(?:script|link)[^>]* (?:src|href)="([^"]+)"', text)
        for one in ("".join(found) for found in loaded):
            assert Client().get(f"/verify/{one}").status_code == 200, (name, one)


def test_the_page_can_be_taken_along_with_verify_py() -> None:
    with zipfile.ZipFile(io.BytesIO(Client().get("/verify/offline.zip").content)) as whole:
        assert sorted(whole.namelist()) == sorted(f"verify/{name}" for name in (*NAMES, "icon.svg", "verify.py"))
        assert whole.read("verify/verify.py") == page.VERIFIER.read_bytes()
        assert whole.testzip() is None
