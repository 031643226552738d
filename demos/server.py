"""What stands in front of the page: Gradio's server, with a guard before it.

The order is that of a house: which name was asked for and by whom, who that is, how much it brings;
what is left is Gradio's.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from anyio import to_thread
from gradio.routes import App
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demos import refusals, sessions
from demos.serving.origins import Addresses, OwnPagesOnly, is_loopback, refuse
from demos.serving.sign_in import SignIn
from demos.serving.uploads import BodyLimit, Uploads, uploads_in

HOUR = 3600
DAY = 24 * HOUR  # after which an upload goes; it is looked for every hour
TIDY = 60.0  # seconds between two looks at the uploads


def addresses(host: str, share: bool, env: Mapping[str, str] = os.environ) -> Addresses:
    """Where an app that listens on `host` is found. A Space is known by the name that it has
    outside, and a proxy in front by GRADIO_ROOT_PATH, where that is a whole address."""
    others = share or not is_loopback(host) or bool(env.get("SPACE_ID"))
    proxy = urlsplit(env.get("GRADIO_ROOT_PATH", "")).netloc
    known = (each for each in (env.get("SPACE_HOST"), proxy) if each)
    return Addresses(others, tuple(known))


def guarded(found: Addresses, own_data: bool = False) -> dict[str, Any]:
    """The `app_kwargs` for Gradio's server, with which it is reached through the guard alone.
    `own_data`: whether data sets are brought to it."""

    @contextlib.asynccontextmanager
    async def around(app: App) -> AsyncIterator[None]:
        blocks = app.get_blocks()
        app.state_holder.__class__ = sessions.Visits
        sessions.hold_drawings(blocks)
        uploads = uploads_in(Path(app.uploaded_file_dir))
        if own_data:
            uploads.take_data_sets()
        # Gradio puts its own middleware outside of any that it is given; that one would answer
        # other pages. This runs before the first request, when its stack has just been built.
        assert app.middleware_stack is not None
        app.middleware_stack = guard(app, app.middleware_stack, found, uploads)
        tasks = [
            asyncio.create_task(sessions.keep_tidy(blocks._queue)),
            asyncio.create_task(_keep_small(uploads, blocks)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    return {"lifespan": around, "exception_handlers": refusals.HANDLERS}


def guard(app: App, inner: ASGIApp, found: Addresses, uploads: Uploads) -> ASGIApp:
    served: ASGIApp = BodyLimit(WhatIsUsed(inner), uploads)
    if app.auth is not None:
        served = SignIn(served, _knows(app))
    return OwnPagesOnly(served, found)


def _knows(app: App) -> Callable[[Mapping[str, str]], bool]:
    def knows(cookies: Mapping[str, str]) -> bool:
        names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
        return any(cookies.get(name) in app.tokens for name in names)

    return knows


async def _keep_small(uploads: Uploads, blocks: gr.Blocks) -> None:
    while True:
        await asyncio.sleep(TIDY)
        await to_thread.run_sync(uploads.tidy)
        # Gradio remembers each file that it took, to remove it some day.
        known = {each for each in blocks.upload_file_set if os.path.exists(each)}
        blocks.upload_file_set.intersection_update(known)


class WhatIsUsed:
    """Leaves out what Gradio serves and this page has no use for; and what fails when half of the
    answer is out ends, with a line in the log where it was foreseen."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if re.match(r"/gradio_api/file[=/]\s*https?:", path, re.I):  # the server would fetch it
            await refuse(403, refusals.NO_ADDRESS, scope, receive, send)
            return
        if path.startswith("/gradio_api/process_recording"):  # of videos, by ffmpeg
            await refuse(404, "The page records no screens.", scope, receive, send)
            return
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception as error:
            # Gradio ends the answers to a session that it does not know so, in mid-stream.
            if not started or not isinstance(error.__cause__ or error, HTTPException):
                raise
            refusals.log.warning("%s ended: %s", path, refusals.one_line(error.__cause__ or error))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
