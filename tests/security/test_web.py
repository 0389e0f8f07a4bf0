"""The pages: forms, headers, addresses, errors, and whoever guesses passwords. docs/security.md, 38 to 44."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path
from django.utils import timezone

from devices.models import Device
from project import throttle
from tests.devices import base
from tests.realtime.serving import Served, person, served, session_of
from tests.security.web import Visitor

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a secret stands in this message")


urlpatterns = [path("broken/", broken)]


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


@pytest.fixture
def stranger(server: Served) -> Visitor:
    return Visitor(server.port)


# -- 39: nobody posts for somebody else ------------------------------------------------------------------------------

UNSAFE = ["/signin/", "/signout/", "/hello/", "/admin/login/", "/admin/logout/", "/admin/devices/device/add/"]


@pytest.mark.parametrize("address", UNSAFE)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json", "text/plain"])
def test_no_form_is_taken_without_the_token_of_its_page(stranger: Visitor, address: str, kind: str) -> None:
    user = person(is_staff=True, is_superuser=True)
    stranger.cookies["sessionid"] = session_of(user)
    body = '{"username": "operator", "password": "x", "name": "planted"}' if "form" not in kind else "name=planted"
    answer = stranger.ask("POST", address, body, Content_Type=kind, Origin="http://127.0.0.1:8000")
    assert answer.status == 403
    assert stranger.get("/").status == 200, "still signed in"
    assert not Device.objects.exists()


def test_a_foreign_page_posts_nothing_even_with_the_token(stranger: Visitor) -> None:
    stranger.cookies["sessionid"] = session_of(person())
    stranger.get("/signin/")
    fields = f"csrfmiddlewaretoken={stranger.cookies.get('csrftoken', '')}"
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999"):
        answer = stranger.ask(
            "POST", "/signout/", fields, Content_Type="application/x-www-form-urlencoded", Origin=origin
        )
        assert answer.status == 403, origin
    assert stranger.get("/").status == 200


def test_looking_changes_nothing(stranger: Visitor) -> None:
    """A picture or a link elsewhere can make a browser GET whatever it likes."""
    user = person(is_staff=True, is_superuser=True)
    device = base.dimmer()
    stranger.cookies["sessionid"] = session_of(user)
    before = Device.objects.values().get(pk=device.pk)
    addresses = ["/signout/", "/hello/", "/admin/logout/", f"/admin/devices/device/{device.pk}/delete/",
                 f"/admin/devices/device/{device.pk}/change/?name=planted", "/?name=planted"]  # fmt: skip
    for address in addresses:
        stranger.get(address)
        stranger.ask("HEAD", address)
    assert stranger.get("/").status == 200, "still signed in"
    assert Device.objects.values().get(pk=device.pk) == before


# -- 40, 44: what every answer says, and what none does --------------------------------------------------------------

EVERYWHERE = [
    ("GET", "/", {}),
    ("GET", "/signin/", {}),
    ("GET", "/admin/login/", {}),
    ("GET", "/no/such/page/", {}),
    ("GET", "/static/frontend/client.js", {}),
    ("GET", "/static/nothing.js", {}),
    ("POST", "/signin/", {}),
    ("GET", "/healthz", {}),
    ("GET", "/data/info", {}),
    ("GET", "/ws", {}),
    ("GET", "/ws", {"Origin": "https://evil.example"}),
    ("GET", "/healthz", {"Host": "evil.example"}),
    ("GET", "/", {"Host": "evil.example"}),
]


@pytest.mark.parametrize(("method", "address", "headers"), EVERYWHERE)
def test_every_answer_tells_browsers_what_they_may_do_with_it(
    stranger: Visitor, method: str, address: str, headers: dict[str, str]
) -> None:
    answer = stranger.ask(method, address, **headers)
    told = answer.headers
    assert told["X-Content-Type-Options"] == "nosniff"
    # A script or a picture is framed by nobody, and WhiteNoise answers before anything else does.
    if answer.status != 200 or not address.startswith("/static/"):
        assert told["X-Frame-Options"] == "DENY"
        policy = told["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    assert told["Referrer-Policy"] == "same-origin"
    assert not re.search(r"\d", told.get("Server", "")), "no version for whoever collects weak ones"


def test_over_https_browsers_are_told_to_stay_there(settings: Any) -> None:
    settings.SECURE_HSTS_SECONDS = 3600
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.REALTIME_BEHIND_PROXY = True
    with served() as server:
        for address in ("/signin/", "/healthz", "/data/info", "/ws"):
            answer = Visitor(server.port).get(address, X_Forwarded_Proto="https")
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=3600"), address


def test_an_error_tells_nothing_from_inside(settings: Any, expect_log: Any) -> None:
    settings.ROOT_URLCONF = __name__
    expect_log("django.request", "Internal Server Error: /broken/")
    with served() as server:
        for address in ("/broken/", "/nowhere/", "/broken/?%ff%00"):
            answer = Visitor(server.port).get(address)
            assert answer.status in (404, 500)
            for word in ("secret", "Traceback", "RuntimeError", "urlpatterns", "settings", "File "):
                assert word not in answer.body


# -- 41: settings for the open network -------------------------------------------------------------------------------


def test_djangos_own_check_for_deployment_has_nothing_to_say(tmp_path: Path) -> None:
    surroundings = {
        **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")},
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "MARSHLIGHT_URL": "https://panel.example.org",
        "MARSHLIGHT_DATA": str(tmp_path / "data"),
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- 42: addresses ---------------------------------------------------------------------------------------------------

ELSEWHERE = ["https://evil.example/", "//evil.example", "/\\evil.example", "http:evil.example", "javascript:alert(1)",
             "\thttps://evil.example", "https:///evil.example", "/%0d%0aLocation:%20https://evil.example"]  # fmt: skip


@pytest.mark.parametrize("address", ELSEWHERE)
def test_after_signing_in_one_is_where_one_was_and_nowhere_else(stranger: Visitor, address: str) -> None:
    User.objects.create_user("operator", password=PASSWORD)
    answer = stranger.post("/signin/", {"username": "operator", "password": PASSWORD, "next": address})
    assert answer.status == 302
    assert answer.headers["Location"].startswith("/")
    assert not answer.headers["Location"].startswith(("//", "/\\"))
    assert "\n" not in answer.headers["Location"]


def test_no_path_leads_out_of_the_static_files(stranger: Visitor) -> None:
    for climb in ("..", "%2e%2e", "..%2f..", "....//", "%252e%252e", "..\\..", "..%5c.."):
        for name in ("manage.py", "project/settings.py", "etc/passwd"):
            answer = stranger.get(f"/static/{climb}/{name}")
            assert answer.status in (301, 302, 400, 404), climb
            assert "import" not in answer.body and "root:" not in answer.body
            answer = stranger.get(f"/static/frontend/{climb}/{climb}/{name}")
            assert answer.status in (301, 302, 400, 404), climb


# -- 43: guessing ----------------------------------------------------------------------------------------------------


def tries(visitor: Visitor, name: str, password: str, address: str = "/signin/", **headers: str) -> tuple[int, str]:
    answer = visitor.post(address, {"username": name, "password": password}, **headers)
    return answer.status, re.sub(r'value="[^"]*"|nonce="[^"]*"|nonce-[^"]*', "", answer.body).replace(name, "")


@pytest.mark.parametrize("address", ["/signin/", "/admin/login/"])
def test_whoever_guesses_waits_whichever_way(stranger: Visitor, expect_log: Any, address: str) -> None:
    expect_log("axes", "")
    User.objects.create_user("operator", password=PASSWORD, is_staff=True)
    answers = [tries(stranger, "operator", f"guess {n}", address) for n in range(11)]
    assert [status for status, _ in answers[:9]] == [200] * 9
    assert [status for status, _ in answers[10:]] == [429]
    # Not even the right one, or the page would tell when it was found.
    assert tries(stranger, "operator", PASSWORD, address)[0] == 429


def test_a_name_is_locked_wherever_it_is_tried_from(settings: Any, expect_log: Any) -> None:
    expect_log("axes", "")
    settings.REALTIME_BEHIND_PROXY = True
    User.objects.create_user("operator", password=PASSWORD)
    with served() as server:
        for n in range(10):
            tries(Visitor(server.port), "operator", "guess", X_Forwarded_For=f"192.0.2.{n}")
        assert tries(Visitor(server.port), "operator", PASSWORD, X_Forwarded_For="192.0.2.99")[0] == 429


def test_an_address_is_locked_whatever_names_it_tries(settings: Any, expect_log: Any) -> None:
    expect_log("axes", "")
    settings.REALTIME_BEHIND_PROXY = True
    User.objects.create_user("operator", password=PASSWORD)
    with served() as server:
        for n in range(10):
            tries(Visitor(server.port), f"name{n}", "guess", X_Forwarded_For="192.0.2.1")
        assert tries(Visitor(server.port), "operator", PASSWORD, X_Forwarded_For="192.0.2.1")[0] == 429
        assert tries(Visitor(server.port), "operator", PASSWORD, X_Forwarded_For="192.0.2.2")[0] == 302


def test_names_that_exist_and_names_that_do_not_look_alike(stranger: Visitor, settings: Any, expect_log: Any) -> None:
    expect_log("axes", "")
    settings.AXES_LOCKOUT_PARAMETERS = ["username"]
    User.objects.create_user("operator", password=PASSWORD)
    User.objects.create_user("former", password=PASSWORD, is_active=False)
    known, former, unknown = (
        [tries(Visitor(stranger.port), name, "guess") for _ in range(11)] for name in ("operator", "former", "nobody")
    )
    assert known == former == unknown


def test_the_wait_ends_and_the_link_works_meanwhile(stranger: Visitor, expect_log: Any) -> None:
    from axes.models import AccessAttempt

    from project.signin import keys

    expect_log("axes", "")
    user = User.objects.create_user("operator", password=PASSWORD)
    for _ in range(10):
        tries(stranger, "operator", "guess")
    assert tries(stranger, "operator", PASSWORD)[0] == 429
    assert Visitor(stranger.port).post("/hello/", {"key": keys.make_key(user)}).status == 302
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=6))
    assert tries(stranger, "operator", PASSWORD)[0] == 302


def test_who_forges_the_proxys_header_is_still_who_he_is(settings: Any) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR="10.0.0.1, 198.51.100.3")
    assert throttle.address(request) == "192.0.2.7"
    settings.PUBLIC = type(settings.PUBLIC)("https", "panel.example.org", 443)
    assert throttle.address(request) == "198.51.100.3"
    del request.META["HTTP_X_FORWARDED_FOR"]
    assert throttle.address(RequestFactory().get("/", REMOTE_ADDR="192.0.2.7")) == "192.0.2.7"
