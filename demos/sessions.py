"""What the server keeps of each visit, and for how long.

Gradio keeps a description of the whole page for every visit and every call of the API (0.6 MB, and
0.08 s to make), for links that restore a page as somebody left it, of which there are none here.
Without it a visit is 30 kB. What was answered and nobody fetched goes too, after a while.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio import routes
from gradio.blocks import Block, BlocksConfig
from gradio.queueing import Queue
from gradio.renderable import Renderable
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import LRUCache

VISITS = 500  # kept; an older page that asks again is met as a new one, and loses nothing
HASH = 128  # characters of the name that a client gives itself
UNFETCHED = 60.0  # seconds that an answer waits for whoever asked
DRAWINGS = 32  # pictures of a canvas, between their upload and the question about them
LAYERS = 16


class PageConfig(BlocksConfig):
    """What the page is made of, with copies for visitors that describe nothing."""

    def __copy__(self) -> BlocksConfig:
        copied = super().__copy__()
        copied.__class__ = VisitConfig
        return copied


class VisitConfig(BlocksConfig):
    @staticmethod
    def config_for_block(
        _id: int,
        rendered_ids: list[int],
        block: Block,
        renderable: Renderable | None = None,
    ) -> dict:
        """Only of what is drawn anew for this visitor (gr.render), who is sent it."""
        if renderable is None:
            return {}
        return BlocksConfig.config_for_block(_id, rendered_ids, block, renderable)


class Visits(StateHolder):
    """Refuses names that would fill the memory by themselves. Raises ValueError."""

    def __getitem__(self, session_id: str) -> SessionState:
        if len(session_id) > HASH:
            raise ValueError(f"session_hash has more than {HASH} characters")
        return super().__getitem__(session_id)


class Unfetched:
    """Forgets the answers that nobody fetches, which Gradio keeps."""

    def __init__(self, queue: Queue):
        self._queue = queue
        self._idle: set[str] = set()  # the sessions for which nothing was under way a while ago

    def forget(self) -> None:
        """Called every UNFETCHED seconds: what was idle then and still is goes."""
        queue = self._queue
        under_way = {event.session_hash for event in queue.event_ids_to_events.values()}
        kept = {*queue.pending_messages_per_session, *queue.pending_event_ids_session}
        idle = kept - under_way
        for session in idle & self._idle:
            queue.pending_messages_per_session.pop(session, None)
            queue.pending_event_ids_session.pop(session, None)
        self._idle = idle - self._idle


def forget_progress() -> None:
    """Whoever asks for the progress of an upload that there is not is waited for, by its name."""
    progress = routes.file_upload_statuses
    for name in [each for each in progress._signals if each not in progress._statuses]:
        progress._signals.pop(name, None)
    for name in [each for each, status in progress._statuses.items() if status.is_done]:
        progress.stop_tracking(name)


def hold_drawings(blocks: gr.Blocks) -> None:
    """A canvas sends its picture ahead of the question, and Gradio keeps it until then."""
    for block in blocks.blocks.values():
        if isinstance(block, gr.ImageEditor):
            block.blob_storage = LRUCache(DRAWINGS)
            # of the one object: what its class is to be called with, Gradio reads off the method
            setattr(block, "accept_blobs", _few_layers(block.accept_blobs))  # noqa: B010


def _few_layers(accept: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(accept)
    def checked(data: Any) -> None:
        """Raises ValueError: a number of a layer is a length of a list that is made."""
        index = data.data["index"]
        if index and index != "null" and not 0 <= int(index) < LAYERS:
            raise ValueError(f"there is no layer {index}")
        if len(str(data.data["id"])) > HASH:
            raise ValueError(f"id has more than {HASH} characters")
        accept(data)

    return checked


async def keep_tidy(queue: Queue) -> None:
    """As long as the server runs."""
    unfetched = Unfetched(queue)
    while True:
        await asyncio.sleep(UNFETCHED)
        unfetched.forget()
        forget_progress()
