"""The page of the API, as it is sent."""

from django.test import Client

from audit.admin.frame import api_page


def test_it_says_of_each_answer_what_a_writer_does(client: Client) -> None:
    page = client.get("/api/docs/")
    assert page.status_code == 200
    assert [status for status, *_ in api_page.answers()][:3] == ["201", "200", "202"]
    assert all(len(row) == 3 for row in api_page.answers())
    assert "<code>field_errors</code> names each field" in page.content.decode()


def test_only_this_page_takes_pictures_from_its_style_sheet(client: Client) -> None:
    policy = client.get("/api/docs/")["Content-Security-Policy"]
    assert "img-src 'self' data:;" in policy
    assert "script-src 'self';" in policy
    assert "data:" not in client.get("/verify/")["Content-Security-Policy"]
    assert "data:" not in client.get("/admin/login/")["Content-Security-Policy"]
