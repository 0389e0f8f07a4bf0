"""Who may open a socket, judged by Host and Origin."""

import pytest
from django.test import override_settings

from realtime import origin

OURS = override_settings(
    MARSHLIGHT_ORIGINS=["https://panel.example", "http://127.0.0.1:8000"], ALLOWED_HOSTS=["panel.example"]
)


@pytest.mark.parametrize("asked", ["https://panel.example", "https://PANEL.example:443", "http://127.0.0.1:8000"])
def test_our_own_addresses_are_allowed(asked: str) -> None:
    with OURS:
        assert origin.origin_allowed(asked)


@pytest.mark.parametrize(
    "asked",
    [
        "http://panel.example",  # other scheme
        "https://panel.example:8443",
        "https://panel.example.evil.example",
        "https://evilpanel.example",
        "https://panel.example@evil.example",
        "https://user@panel.example",
        "https://panel.example/",
        "https://panel.example?x",
        " https://panel.example",
        "https://panel.example:99999",
        "https://[",
        "null",
        "",
        "file://",
        "chrome-extension://panel.example",
        "http://localhost:8000",
    ],
)
def test_everything_that_only_looks_like_ours_is_refused(asked: str) -> None:
    with OURS:
        assert not origin.origin_allowed(asked)


def test_without_a_list_the_public_address_is_the_only_origin() -> None:
    with override_settings(MARSHLIGHT_ORIGINS=[], MARSHLIGHT_URL="http://box.example:8000/"):
        assert origin.origin_allowed("http://box.example:8000")
        assert not origin.origin_allowed("http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("panel.example", True), ("panel.example:444", True), ("evil.example", False), ("", False), ("a b", False)],
)
def test_hosts_are_judged_as_django_judges_them(host: str, allowed: bool) -> None:
    with OURS:
        assert origin.host_allowed(host) is allowed
