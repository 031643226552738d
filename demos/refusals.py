"""What is asked of the page is checked before a handler sees it, and every error leaves as a
sentence: what was wrong, and what to do.

A refusal is one line in the server's log; a traceback there is a fault of the app's.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

import gradio as gr
from fastapi.exceptions import RequestValidationError
from gradio.block_function import BlockFunction
from gradio.blocks import Block
from gradio.components import Component
from gradio.exceptions import ComponentProcessingError, InvalidPathError
from gradio.route_utils import FnIndexInferError
from gradio.state_holder import SessionState
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from demos.serving.uploads import NO_ROOM
from demos.sessions import PageConfig
from training.runs.records import is_disk_full

log = logging.getLogger("transfer_lab")
FILE = '{"path": ..., "meta": {"_type": "gradio.FileData"}}'
NO_PATH = "A path is not read here: upload the file, and send what the upload returned."
NO_ADDRESS = "A web address is not fetched here: download the file, and upload it."
OWN_FAULT = (
    "This went wrong inside the app, and its log says where. Try again, or reload the page; if it "
    "stays, tell who runs the app."
)
SHAPE = (
    'Send JSON such as {"data": ["digits"]}, with Content-Type: application/json. `data` is the '
    "list of what the endpoint takes."
)
# What reading a value of a wrong shape ends with, in Gradio's code and in pydantic's.
UNFIT = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
FORM = "Send the fields username and password of a form."
LINE = 300  # characters of a refusal in the log
DEEPEST = 40  # lists within lists


class CheckedBlocks(gr.Blocks):
    """A page whose events, by whatever way they are asked for, are answered or refused with a
    gr.Error of a sentence."""

    def __init__(self, *args: Any, **more: Any):
        super().__init__(*args, **more)
        self.default_config = PageConfig(self)

    async def process_api(self, block_fn: BlockFunction | int, *args: Any, **more: Any):
        try:
            return await super().process_api(block_fn, *args, **more)
        except Exception as error:
            fn = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
            refused = _refusal(error)
            if refused is None:
                log.exception("%s failed", fn.api_name or fn.name)
                refused = gr.Error(OWN_FAULT)
            else:
                log.warning("%s refused: %s", fn.api_name or fn.name, one_line(refused.message))
            refused.print_exception = False  # it is in the log
            raise refused from error

    async def preprocess_data(
        self,
        block_fn: BlockFunction,
        inputs: list[Any],
        state: SessionState | None,
        explicit_call: bool = False,
    ) -> list[Any]:
        if not block_fn.cancels:  # whose only input is a session, which Gradio puts there
            check_inputs(block_fn, inputs)
        try:
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except gr.Error:
            raise
        except (InvalidPathError, OSError) as error:
            if is_disk_full(error):
                raise
            raise gr.Error(NO_PATH) from error
        except ComponentProcessingError as error:
            if is_disk_full(error.__cause__):
                raise gr.Error(NO_ROOM) from error
            found = re.search(r"at index (\d+)", str(error))
            which = _name(block_fn.inputs[int(found[1])]) if found else "One of the values"
            raise gr.Error(_unreadable(which)) from error
        except UNFIT as error:
            raise gr.Error(_unreadable("One of the values")) from error


def _refusal(error: Exception) -> gr.Error | None:
    """The error as a sentence, where it is one that was foreseen."""
    if isinstance(error, gr.Error):
        return error
    if is_disk_full(error):
        return gr.Error(NO_ROOM)
    if isinstance(error, MemoryError):
        return gr.Error("This needs more memory than there is: try a smaller file.")
    if type(error).__module__.split(".")[0] in ("training", "demos"):
        return gr.Error(str(error))  # the project's own, which are sentences
    return None


def one_line(text: object) -> str:
    """For the log: no text of a visitor's makes a line of its own there."""
    words = " ".join(str(text).split())
    return words[:LINE].encode("utf-8", "backslashreplace").decode()


# -- what comes in ---------------------------------------------------------------------------------
def check_inputs(fn: BlockFunction, inputs: list[Any]) -> None:
    """As many values as the event takes, and files that are described as such. Raises gr.Error."""
    if len(inputs) != len(fn.inputs):
        takes = ", ".join(_name(block) for block in fn.inputs)
        raise gr.Error(
            f"/{fn.api_name} takes {len(fn.inputs)} value{'s' * (len(fn.inputs) != 1)}"
            f"{f' ({takes})' * bool(takes)}, and {len(inputs)} came: send all of them as a list "
            "in `data`, with null for one that you leave out."
        )
    for block, value in zip(fn.inputs, inputs, strict=True):
        _check_files(value, _name(block))
        model = getattr(block, "data_model", None)
        if model is not None and value is not None:
            try:
                model.model_validate(value, context={"validate_meta": True})
            except UNFIT as error:
                raise gr.Error(_unreadable(_name(block), block)) from error


def _check_files(value: object, name: str, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise gr.Error(f"{name} holds lists within lists, deeper than {DEEPEST}: send it flat.")
    if isinstance(value, Mapping):
        path = value.get("path")
        if isinstance(path, str) and re.match(r"\s*https?:", path, re.I):
            raise gr.Error(NO_ADDRESS)
        if isinstance(path, str) and "\0" in path:
            raise gr.Error(NO_PATH)
        if value.get("meta") is not None and not isinstance(path, str | None):
            sentence = f"{name} is no file: send {FILE} with the path that the upload returned."
            raise gr.Error(sentence)
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _check_files(each, name, depth + 1)


def _name(block: Block) -> str:
    return getattr(block, "label", None) or block.get_block_name()


def _unreadable(name: str, block: Block | None = None) -> str:
    holds_files = isinstance(block, Component) and "path" in str(block.api_info())
    what = (
        f"send {FILE} with the path that the upload returned"
        if holds_files
        else "/?view=api shows an example"
    )
    return f"{name} is not what is expected there: {what}."


# -- what Gradio's routes cannot make sense of -----------------------------------------------------
def _answer(request: Request, status: int, sentence: str, error: Exception) -> Response:
    log.warning("%s refused: %s", request.url.path, one_line(f"{type(error).__name__}: {error}"))
    return JSONResponse({"error": sentence, "detail": sentence}, status)


def _not_json(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(each for each in first["loc"] if isinstance(each, str) and each != "body")
    what = one_line(f"{where}: {first['msg']}" if where else first["msg"])
    log.warning("%s refused: %s", request.url.path, what)
    shape = FORM if request.url.path.startswith("/login") else SHAPE
    sentence = f"This request cannot be read ({what}). {shape}"
    return JSONResponse({"error": sentence, "detail": sentence}, 422)


def _told(request: Request, error: Exception) -> Response:
    """What the routes refuse themselves, with the sentence in both places."""
    assert isinstance(error, HTTPException)
    told = error.detail
    if told == "There was an error parsing the body":
        told = f"This request cannot be read: it is no JSON. {SHAPE}"
    sentence = told if isinstance(told, str) else told.get("error", "")
    return JSONResponse({"error": sentence, "detail": told}, error.status_code, error.headers)


def _unknown_endpoint(request: Request, error: Exception) -> Response:
    sentence = "There is no such endpoint. The app's page lists them at /?view=api."
    return _answer(request, 404, sentence, error)


def _misfit(request: Request, error: Exception) -> Response:
    """Handlers have errors of their own: this one comes from what the request says."""
    sentence = (
        "This request does not fit what the app offers: /?view=api lists its endpoints and what "
        "they take. If it came from the app's own page, reload that."
    )
    return _answer(request, 400, sentence, error)


def _gone(request: Request, error: Exception) -> Response:
    return _answer(request, 400, "The request was cut off.", error)


def _disk(request: Request, error: Exception) -> Response:
    if is_disk_full(error):
        return _answer(request, 507, NO_ROOM, error)
    log.error("%s failed", request.url.path, exc_info=error)
    return _fault(request, error)


def _fault(request: Request, error: Exception) -> Response:
    """The server logs its traceback."""
    return JSONResponse({"error": OWN_FAULT, "detail": OWN_FAULT}, 500)


HANDLERS = {
    HTTPException: _told,
    RequestValidationError: _not_json,
    FnIndexInferError: _unknown_endpoint,
    ClientDisconnect: _gone,
    OSError: _disk,
    Exception: _fault,
    **dict.fromkeys(UNFIT, _misfit),
}
