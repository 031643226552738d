"""The door of an app that asks for a name and a password.

Before sign-in there is one page with two fields, and nothing else is told: Gradio's own page holds
the description of the whole API. Wrong passwords cost a pause that grows, for the machine that
tries them and for the name that they are tried on.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demos.serving.origins import refuse

FREE = 3  # wrong passwords that cost nothing: people mistype
LONGEST = 300.0  # seconds that a pause grows to
FORGOTTEN = 3600.0  # seconds after which wrong passwords no longer count
REMEMBERED = 4096  # of machines and names, so that random ones do not fill the memory
FORM = 16 * 1024  # bytes of a name and a password
# What Gradio asks of itself when it starts, and what browsers ask of any site.
OPEN = ("/gradio_api/startup-events", "/favicon.ico", "/robots.txt")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  :root { color-scheme: light dark; font-family: system-ui, sans-serif; }
  body { display: grid; place-items: center; min-height: 90vh; margin: 0; }
  form { display: grid; gap: 1rem; width: min(20rem, 90vw); }
  label { display: grid; gap: .3rem; }
  input, button { font: inherit; padding: .6rem; border: 1px solid #8888; border-radius: .5rem; }
  button { background: #4f46e5; color: #fff; cursor: pointer; }
</style></head><body>
<form><h1>Sign in</h1>
  <label>Name <input name="username" autocomplete="username" required autofocus></label>
  <label>Password <input name="password" type="password" autocomplete="current-password" required>
  </label>
  <button>Sign in</button><p role="alert"></p></form>
<script>
  const form = document.querySelector('form');
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const told = document.querySelector('[role=alert]');
    try {
      const answer = await fetch('login', {method: 'POST', body: new FormData(form)});
      if (answer.ok) location.reload();
      else told.textContent = (await answer.json()).detail;
    } catch { told.textContent = 'The app does not answer. Is it still running?'; }
  });
</script></body></html>"""


class Attempts:
    """Counts wrong passwords, by machine and by name, and says how long to wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._tried: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how often, when last

    def pause(self, key: str) -> float:
        """Seconds until `key` may try again."""
        count, last = self._recall(key)
        if count < FREE:
            return 0.0
        # The exponent is bound before it is one: there is no float for 2 to the 2,000.
        length = min(LONGEST, 2.0 ** min(count - FREE, 20))
        return max(0.0, last + length - self._clock())

    def count(self, key: str) -> None:
        self._tried[key] = (self._recall(key)[0] + 1, self._clock())
        self._tried.move_to_end(key)
        while len(self._tried) > REMEMBERED:
            self._tried.popitem(last=False)

    def clear(self, key: str) -> None:
        self._tried.pop(key, None)

    def _recall(self, key: str) -> tuple[int, float]:
        count, last = self._tried.get(key, (0, 0.0))
        return (count, last) if self._clock() - last < FORGOTTEN else (0, 0.0)


class SignIn:
    """Lets through who is signed in, by `knows`, which is given the cookies; to anybody else it
    shows the form, and answers 401 beside it."""

    def __init__(self, app: ASGIApp, knows: Callable[[Mapping[str, str]], bool]):
        self.app = app
        self.knows = knows
        self.attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].rstrip("/") or "/"
        if path == "/login" and scope["method"] == "POST":
            await self._try(scope, receive, send)
        elif path in OPEN or self.knows(HTTPConnection(scope).cookies):
            await self.app(scope, receive, send)
        elif path == "/" and scope["method"] in ("GET", "HEAD"):
            page = HTMLResponse(PAGE, headers={"Cache-Control": "no-store"})
            await page(scope, receive, send)
        else:
            await refuse(401, "Sign in first: open the app's page.", scope, receive, send)

    async def _try(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            await refuse(413, "A name and a password are shorter.", scope, receive, send)
            return
        keys = [f"machine {(scope.get('client') or ['?'])[0]}", f"name {await _name(scope, body)}"]
        wait = max(map(self.attempts.pause, keys))
        if wait:
            seconds = math.ceil(wait)
            sentence = f"Too many wrong passwords: wait {seconds} s, then try again."
            await refuse(429, sentence, scope, receive, send, headers={"Retry-After": str(seconds)})
            return
        # It counts as wrong until it proved right, so that many at once are not all let in.
        for key in keys:
            self.attempts.count(key)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                for key in keys:
                    self.attempts.clear(key)
            await send(message)

        await self.app(scope, _replay(body), answer)


async def _read(receive: Receive) -> bytes | None:
    """The body, or None where it is too long for a name and a password."""
    body = b""
    more = True
    while more and len(body) <= FORM:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body if len(body) <= FORM else None


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _name(scope: Scope, body: bytes) -> str:
    """The name in the form, for which the wrong passwords are counted; empty where the form cannot
    be read."""
    try:
        async with Request(scope, _replay(body)).form(max_files=0) as form:
            return str(form.get("username", "")).strip()[:100]
    except (HTTPException, MultiPartException, KeyError, ValueError):
        return ""  # the app answers what it is; here it is one more try without a name
