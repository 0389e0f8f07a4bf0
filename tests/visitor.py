"""A person's browser without the screen: keeps cookies, follows redirects, fills the CSRF field."""

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request


class Visitor:
    def __init__(self) -> None:
        self.cookies = http.cookiejar.CookieJar()
        # No proxy of the surroundings: the server is on this machine.
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self.cookies), urllib.request.ProxyHandler({})
        )

    def get(self, url: str) -> tuple[int, str]:
        return self._open(urllib.request.Request(url))

    def post(self, url: str, **fields: str) -> tuple[int, str]:
        """Post a form of the page at `url`, with the token that the page carries."""
        _, page = self.get(url)
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        token = {"csrfmiddlewaretoken": found[1]} if found else {}
        body = urllib.parse.urlencode({**token, **fields}).encode()
        return self._open(urllib.request.Request(url, body))

    def follow(self, link: str) -> tuple[int, str]:
        """Open a sign-in link as its page's script does: the fragment is posted."""
        page, _, key = link.partition("#")
        return self.post(page, key=key)

    def _open(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with self._opener.open(request, timeout=20) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()
