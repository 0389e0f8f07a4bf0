"""The link's page in a real browser: its script posts the key, and the key is gone from the address."""

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User

from project import signin

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pytest_django.live_server_helper import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_opening_the_link_signs_in_and_leaves_no_key_behind(browser: "Browser", live_server: "LiveServer") -> None:
    operator = User.objects.create_user("operator")
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    link = signin.link(live_server.url, operator)
    page.goto(link)
    page.wait_for_url(f"{live_server.url}/")
    key = link.partition("#")[2]
    # Chromium tells the whole address to its debugger; what the server is asked for ends before the fragment.
    assert not [url for url in asked if key in url.partition("#")[0]]
    assert complaints == []
    assert {cookie["name"] for cookie in context.cookies()} >= {"sessionid"}
    page.go_back()
    assert key not in page.url
    context.close()


def test_a_used_link_says_what_to_do(browser: "Browser", live_server: "LiveServer") -> None:
    operator = User.objects.create_user("operator")
    link = signin.link(live_server.url, operator)
    assert signin.keys.claim(link.partition("#")[2])
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    page.get_by_text("./run link").wait_for()
    assert "used already" in page.inner_text("main")
    context.close()


def test_without_script_the_page_offers_the_password(browser: "Browser", live_server: "LiveServer") -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{live_server.url}/hello/")
    page.get_by_text("sign in with your password").click()
    page.wait_for_url("**/signin/")
    context.close()
