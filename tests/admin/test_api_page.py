"""The page of the API, as it is sent."""

from django.test import Client

from audit.admin.frame import api_page


def test_it_says_of_each_answer_what_a_writer_does(client: Client) -> None:
    page = client.get("/api/docs/")
    assert page.status_code == 200
    assert [status for status, *_ in api_page.answers()][:3] == ["201", "200", "202"]
    assert all(len(row) == 3 for row in api_page.answers())
    assert "<code>field_errors</code> names each field" in page.content.decode()


def policy(client: Client, path: str) -> dict[str, set[str]]:
    """The sources of each directive, whose order says nothing."""
    directives = client.get(path)["Content-Security-Policy"].split(";")
    return {name: set(sources) for name, *sources in (directive.split() for directive in directives if directive)}


def test_only_this_page_takes_pictures_from_its_style_sheet(client: Client) -> None:
    of_login = policy(client, "/admin/login/")
    assert policy(client, "/api/docs/") == of_login | {"img-src": {"'self'", "data:"}}
    assert of_login["img-src"] == {"'self'"}
