"""Long work that a person watches, and can cancel."""

import threading

import gradio as gr

from training.data.own.data_set import Cancelled, Tell

PROGRESS = gr.Progress()  # Gradio gives each call its own for it


class Waiting:
    """Who wants something no more, by the visit."""

    def __init__(self) -> None:
        self.events: dict[str, threading.Event] = {}

    def begin(self, visit: str, progress: gr.Progress, unit: str = "files") -> Tell:
        asked = self.events[visit] = threading.Event()

        def tell(doing: str, done: int, total: int) -> None:
            if asked.is_set():
                raise Cancelled
            progress((done, total or None), desc=doing, unit=unit)

        return tell

    def cancel(self, request: gr.Request) -> None:
        if event := self.events.get(name_visit(request)):
            event.set()

    def end(self, visit: str) -> None:
        self.events.pop(visit, None)


def name_visit(request: gr.Request) -> str:
    return str(request.session_hash or "")
