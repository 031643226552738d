"""Who may speak to the app: the names it answers to, and the pages that may ask it for something.

A browser sends whatever any page asks of it. So a page elsewhere could start runs here, and one
whose own name is made to lead to 127.0.0.1 (DNS rebinding) could also read what comes back. The
first is told apart by where the request comes from, the second by the name that it asks for.
Programs such as curl and gradio_client say neither Origin nor Sec-Fetch-Site, and are answered.

What this does not know: a browser that says neither of the two on plain HTTP beyond this machine.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PORTS = {"http": 80, "https": 443}
OPENING = ("GET", "HEAD")


def is_loopback(host: str) -> bool:
    """Whether this name or address is this machine's own, which nobody else reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(address: str) -> tuple[str, int | None]:
    """Host in small letters and port of `host:port`, the port None where none is named. The host is
    empty where it cannot be read."""
    try:
        parts = urlsplit(f"//{address}")
        return (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return "", None


@dataclass(frozen=True)
class Addresses:
    """Where an app is found."""

    others: bool = False  # whether other machines reach it, by names that it cannot know
    known: tuple[str, ...] = ()  # further hosts (`host` or `host:port`) that lead to it, of a proxy

    def refusal(self, scope: Scope) -> str:
        """The sentence that says why a request is not answered; empty where it is."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) > 1:
            return "This request names several hosts: send one Host header."
        if hosts and not self._answers_to(hosts[0]):
            return (
                f"This app answers to localhost and 127.0.0.1 alone, not to {hosts[0]!r}: open it "
                "there. If a proxy of yours leads to it, set GRADIO_ROOT_PATH to the address that "
                "people open."
            )
        if self._is_own(headers) or _opens_the_page(scope, headers):
            return ""
        origin = headers.get("origin") or "one that is not named"
        return (
            f"This request comes from another page ({origin}): only the app's own page may ask it "
            "for something. A program that is no browser sends no Origin."
        )

    def _answers_to(self, host: str) -> bool:
        name = _split(host)[0]
        known = {_split(each)[0] for each in self.known}
        return self.others or is_loopback(name) or name in known

    def _is_own(self, headers: Headers) -> bool:
        """Whether no browser sends this, or the app's own page."""
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        origin = headers.get("origin")
        if origin is None:
            return True
        scheme, _, address = origin.partition("://")
        host, port = _split(address)
        if not host or scheme not in PORTS:
            return False
        # A page elsewhere cannot set X-Forwarded-Host: the browser would ask first, and be refused.
        forwarded = headers.get("x-forwarded-host", "").split(",")
        own = [headers.get("host", ""), *(each.strip() for each in forwarded), *self.known]
        default = PORTS[scheme]
        return any(
            (host, port or default) == (name, named or default)
            for name, named in map(_split, own)
            if name
        )


def _opens_the_page(scope: Scope, headers: Headers) -> bool:
    """A link elsewhere may lead to the page, and a Space is shown in a frame."""
    navigates = headers.get("sec-fetch-mode") == "navigate"
    return scope["method"] in OPENING and scope["path"] == "/" and navigates


class OwnPagesOnly:
    """Answers 403 with a sentence, before anything is read, to what `addresses` refuses."""

    def __init__(self, app: ASGIApp, addresses: Addresses):
        self.app = app
        self.addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (sentence := self.addresses.refusal(scope)):
            await refuse(403, sentence, scope, receive, send)
        elif scope["type"] == "websocket":  # the page has none
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.app(scope, receive, send)


async def refuse(
    status: int,
    sentence: str,
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: dict[str, str] | None = None,
) -> None:
    """Answers with a sentence, in the two places in which clients look for one."""
    answer = JSONResponse({"error": sentence, "detail": sentence}, status, headers)
    await answer(scope, receive, send)
