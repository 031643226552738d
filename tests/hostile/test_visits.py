"""What the server keeps of visits and calls: little, and not for ever."""

import asyncio
import json

import gradio as gr
import httpx
import pytest
from gradio import routes
from gradio.state_holder import SessionState
from gradio_client import Client, handle_file
from serving import drawing, encoded, served_app

from demos import sessions
from demos.refusals import CheckedBlocks


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    with served_app(tmp_path_factory.mktemp("visits") / "runs") as blocks:
        yield blocks


@pytest.fixture(scope="module")
def http(blocks):
    with httpx.Client(base_url=f"{blocks.local_url}gradio_api/", timeout=60) as http:
        yield http


def test_a_visit_keeps_no_description_of_the_page(blocks):
    visit = SessionState(blocks)
    assert not any(visit.config_values.values()) and not list(visit.components)
    assert visit.blocks_config.blocks == blocks.blocks
    assert len(json.dumps(blocks.get_config_file()["components"], default=str)) > 10_000


def test_no_state_is_kept_that_the_browser_can_hold(blocks):
    assert not [block for block in blocks.blocks.values() if isinstance(block, gr.State)]


def test_what_a_call_shows_is_kept_nowhere(blocks, http, tmp_path):
    (tmp_path / "seven.png").write_bytes(encoded(drawing()))
    client = Client(blocks.local_url, verbose=False)
    client.predict(handle_file(tmp_path / "seven.png"), api_name="/classify_digit")
    client.close()
    visit = list(blocks.state_holder.session_data.values())[-1]
    assert not any(visit.config_values.values())


def test_visits_beyond_a_number_are_forgotten_and_their_page_is_still_answered(blocks, http):
    ask = {"data": ["digits"]}
    first = http.post("run/list_checkpoints", json={**ask, "session_hash": "first"})
    assert first.status_code == 200 and "first" in blocks.state_holder
    for number in range(sessions.VISITS + 5):
        blocks.state_holder[f"visit{number}"]
    assert "first" not in blocks.state_holder
    assert len(blocks.state_holder.session_data) <= sessions.VISITS
    again = http.post("run/list_checkpoints", json={**ask, "session_hash": "first"})
    assert again.json()["data"] == first.json()["data"]


def test_answers_that_nobody_fetches_are_forgotten(blocks, http):
    queue = blocks._queue
    event = http.post("call/list_checkpoints", json={"data": ["digits"]}).json()["event_id"]
    fetched = http.post("call/list_checkpoints", json={"data": ["digits"]}).json()["event_id"]
    assert "complete" in http.get(f"call/list_checkpoints/{fetched}").text
    unfetched = sessions.Unfetched(queue)
    while queue.event_ids_to_events:
        pass
    unfetched.forget()
    assert event in queue.pending_messages_per_session  # whoever asked may still come
    unfetched.forget()
    for kept in (queue.pending_messages_per_session, queue.pending_event_ids_session):
        assert event not in kept and fetched not in kept


def test_an_answer_that_is_awaited_is_not_forgotten(blocks):
    class Event:
        session_hash = "waiting"

    queue = blocks._queue
    queue.pending_messages_per_session["waiting"] = asyncio.Queue()
    queue.event_ids_to_events["x"] = Event()
    unfetched = sessions.Unfetched(queue)
    for _ in range(4):
        unfetched.forget()
    assert "waiting" in queue.pending_messages_per_session
    del queue.event_ids_to_events["x"]
    for _ in range(2):
        unfetched.forget()
    assert "waiting" not in queue.pending_messages_per_session


def test_progress_that_is_asked_for_and_never_comes_is_forgotten(http):
    assert http.get("upload_progress?upload_id=never").status_code == 404
    files = {"files": ("a.png", encoded(drawing()))}
    assert http.post("upload?upload_id=done", files=files).status_code == 200
    progress = routes.file_upload_statuses
    assert "never" in progress._signals and "done" in progress._statuses
    sessions.forget_progress()
    assert "never" not in progress._signals and "done" not in progress._statuses


def test_the_statistics_of_events_are_few(blocks):
    assert blocks._queue.ANALYTICS_MAX_EVENTS <= 100


def test_what_is_drawn_anew_for_a_visitor_is_described_to_it():
    """gr.render makes components of one visit alone."""
    with CheckedBlocks(analytics_enabled=False) as blocks:
        count = gr.Number(2)

        @gr.render(inputs=count)
        def draw(count: float) -> None:
            for number in range(int(count)):
                gr.Textbox(label=f"drawn {number}")

    visit = SessionState(blocks)
    fn = next(fn for fn in blocks.fns.values() if fn.fn is not None and fn.renderable is not None)
    answer = asyncio.run(blocks.process_api(fn, [2], state=visit))
    assert "drawn 1" in json.dumps(answer["render_config"], default=str)
