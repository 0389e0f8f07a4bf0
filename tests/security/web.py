"""What a browser, or somebody who plays one, asks of the pages: one request each, with the cookies of before."""

from __future__ import annotations

import http.client
import urllib.parse
from dataclasses import dataclass, field

from tests.realtime.serving import LIMIT


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: str


@dataclass
class Visitor:
    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: str | bytes = "", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request(method, path, body or None, sent)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Answer(answer.status, answer.headers, text)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> Answer:
        """A form as the page at `path` would send it: with the token of its cookie."""
        if "csrftoken" not in self.cookies:
            self.get("/signin/")
        filled = {"csrfmiddlewaretoken": self.cookies["csrftoken"], **(fields or {})}
        return self.ask(
            "POST",
            path,
            urllib.parse.urlencode(filled),
            Content_Type="application/x-www-form-urlencoded",
            Origin="http://127.0.0.1:8000",
            **headers,
        )
