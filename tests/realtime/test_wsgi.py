"""Django's pages through this server, cookies included."""

from __future__ import annotations

import http.client
import re
import urllib.parse
from collections.abc import Iterator

import pytest

from tests.realtime.serving import LIMIT, Served, person, served

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


def ask(
    server: Served, method: str, path: str, body: str = "", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def cookies(answer: http.client.HTTPResponse) -> dict[str, str]:
    found = {}
    for line in answer.headers.get_all("Set-Cookie") or ():
        assert line == line.strip()
        name, _, value = line.partition(";")[0].partition("=")
        found[name] = value
    return found


def test_signing_in_to_the_admin_works_and_sets_cookies(server: Served) -> None:
    person("admin", is_staff=True, is_superuser=True, password="open sesame")
    page, form = ask(server, "GET", "/admin/login/")
    assert page.status == 200
    jar = cookies(page)
    found = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert found is not None
    fields = {
        "username": "admin",
        "password": "open sesame",
        "csrfmiddlewaretoken": found[1].decode(),
        "next": "/admin/",
    }
    answer, _ = ask(
        server,
        "POST",
        "/admin/login/",
        urllib.parse.urlencode(fields),
        Cookie=f"csrftoken={jar['csrftoken']}",
        **{"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status == 302
    session = cookies(answer)["sessionid"]
    inside, _ = ask(server, "GET", "/admin/", Cookie=f"sessionid={session}")
    assert inside.status == 200


def test_a_foreign_host_gets_no_page(server: Served) -> None:
    assert ask(server, "GET", "/admin/login/", Host="evil.example")[0].status == 400


def test_a_body_beyond_the_limit_is_refused(settings: pytest.FixtureRequest) -> None:
    settings.REALTIME_BODY_BYTES = 10_000  # type: ignore[attr-defined]
    with served() as server:
        try:
            answer, _ = ask(server, "POST", "/admin/login/", "x" * 20_000)
        except (ConnectionError, http.client.HTTPException):
            return  # cut while it was still sending
        assert answer.status in (400, 413)


def test_a_head_is_answered_without_a_body(server: Served) -> None:
    page, _ = ask(server, "GET", "/admin/login/")
    head, body = ask(server, "HEAD", "/admin/login/")
    assert (head.status, head.headers["Content-Type"], body) == (200, page.headers["Content-Type"], b"")
