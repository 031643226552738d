"""Transfer Lab: try a model, fine-tune it from the page, see the new checkpoint answer.

python app.py                       opens the page on 127.0.0.1:7860
python app.py --help                its options
"""

import argparse
import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio loads: no look-up outside, ever
os.environ["GRADIO_RUN_HISTORY"] = "False"  # it would keep what people send, here or on the Hub
# Gradio sums up all of these after every event.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
from demos.serving import origins, uploads  # noqa: E402
from training import device  # noqa: E402, F401  before torch: it sets what torch reads when it loads

if TYPE_CHECKING:  # options and errors are there before gradio is loaded
    import gradio as gr

    from demos.serving.lab import Lab
    from demos.serving.landing import Landing

DEMOS = ["food", "digits", "audio_intent", "captioning"]


def options(argv: list[str] | None = None) -> argparse.Namespace:
    env = os.environ
    parser = argparse.ArgumentParser(prog="python app.py", description="Opens Transfer Lab's page.")
    parser.add_argument(
        "--host",
        default=env.get("GRADIO_SERVER_NAME") or "127.0.0.1",
        help="address to listen on [GRADIO_SERVER_NAME, or 127.0.0.1]",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=env.get("GRADIO_SERVER_PORT") or 7860,
        help="port [GRADIO_SERVER_PORT, or 7860]",
    )
    parser.add_argument(
        "--share",
        action="store_true",
        default=env.get("GRADIO_SHARE", "").lower() in ("1", "true"),
        help="also open a public link [GRADIO_SHARE]",
    )
    parser.add_argument(
        "--runs",
        default=env.get("RUNS") or "runs",
        metavar="DIR",
        help="where runs are kept [RUNS, or ./runs]",
    )
    parser.add_argument(
        "--auth",
        default=env.get("AUTH", ""),
        metavar="USER:PASS",
        help="ask for a name and a password [AUTH]",
    )
    parser.add_argument(
        "--training",
        choices=("on", "off"),
        default=env.get("TRAINING") or None,
        help="whether the page may fine-tune models and change the one in use [TRAINING; on, but "
        "off on a Space, and with --share or a host that others reach, unless there is --auth]",
    )
    chosen = parser.parse_args(argv)
    if chosen.training not in (None, "on", "off"):
        parser.error(f"TRAINING is {chosen.training!r}: it must be 'on' or 'off'")
    if not 0 < chosen.port < 65536:
        parser.error(f"the port is {chosen.port}: it must be from 1 to 65535")
    if chosen.auth and not all(chosen.auth.partition(":")):
        parser.error("--auth takes USER:PASS, both not empty")
    return chosen


def may_train(chosen: argparse.Namespace) -> tuple[bool, str]:
    """Whether the page may train, and the sentence that says why not."""
    if chosen.training == "off":
        return False, "Training is off (--training off)."
    if os.environ.get("SPACE_ID"):
        on = chosen.training == "on"
        return on, "" if on else "Training is off on a Space, unless its variable TRAINING is 'on'."
    if (chosen.share or not origins.is_loopback(chosen.host)) and not chosen.auth:
        return (
            False,
            "Training is off: others can reach this page without a password (--auth USER:PASS).",
        )
    return True, ""


def load_demos() -> list[ModuleType]:
    return [importlib.import_module(f"demos.{name}") for name in DEMOS]


def is_alone(chosen: argparse.Namespace) -> bool:
    """Whether whoever opens the page is whoever started it: nobody else reaches it, by an address,
    a link or a proxy."""
    led_to = os.environ.get("SPACE_ID") or os.environ.get("GRADIO_ROOT_PATH")
    return origins.is_loopback(chosen.host) and not chosen.share and not led_to


def signs_in() -> bool:
    """Whether this is a Space whose visitors sign in (`hf_oauth: true`)."""
    return bool(os.environ.get("SPACE_ID") and os.environ.get("OAUTH_CLIENT_ID"))


def open_lab(
    runs: Path,
    training: bool = True,
    why_not: str = "",
    on_space: bool = False,
    alone: bool = False,
    signs_in: bool = False,
) -> "Lab":
    """What one running app is about. With it every handler can be called without a page:

    lab = open_lab(Path("runs"))
    food.classify(lab.slots["food"], load_picture("lunch.jpg"))
    """
    from demos.serving.lab import Lab
    from demos.serving.model_slot import ModelSlot
    from demos.serving.shelf import Shelf

    shelf = Shelf()
    slots = {}
    for demo in load_demos():
        for name, load in demo.SLOTS.items():
            title = demo.TITLE if len(demo.SLOTS) == 1 else name.capitalize()
            offer = getattr(demo, "HUB", {}).get(name)  # a tab may take nothing of the Hub
            slots[name] = ModelSlot(name, load, runs, title, shelf, offer)
    return Lab(runs, slots, training, why_not, on_space, alone, signs_in)


def build(lab: "Lab") -> "gr.Blocks":
    """The page, without a server."""
    uploads.claim_folder()  # each of Gradio's components reads where it is
    import gradio as gr

    from demos import clock, hub_box, own_data, page, server, take_away, training_tab
    from demos.actions import Actions, endpoints
    from demos.refusals import CheckedBlocks

    demos = load_demos()
    actions = Actions(lab)
    own = own_data.OwnData(lab)
    with CheckedBlocks(
        title="Transfer Lab", analytics_enabled=False, delete_cache=(server.HOUR, server.DAY)
    ) as blocks:
        with gr.Row(elem_id="title"):
            gr.Markdown("# Transfer Lab\nTry a model, fine-tune it, see it change.")
            strip = gr.HTML(elem_id="strip")
        selected = clock.make_hidden()  # the id of the run that a person looks at
        page.keep(blocks, "run", [selected.change], [selected])
        buttons = []
        changing = []
        with gr.Tabs() as tabs:
            for demo, name in zip(demos, DEMOS, strict=True):
                with gr.Tab(demo.TITLE, id=demo.RECIPE or name):
                    tune, part = demo.build(lab)
                buttons.append((tune, demo.RECIPE))
                changing.append(part)
            trained = [demo for demo in demos if demo.RECIPE]  # a tab may have nothing to train
            with gr.Tab("Train", id="train") as opened:
                choosers = page.find_choosers(blocks, list(lab.slots))
                chooser, live = training_tab.build(
                    actions, own, trained, blocks, opened, tabs, selected, choosers
                )
        for tune, recipe in buttons:
            if tune is not None:
                tune.click(
                    lambda recipe=recipe: (gr.Tabs(selected="train"), recipe),
                    None,
                    [tabs, chooser],
                    api_visibility="private",
                    show_progress="hidden",
                    queue=False,
                )
        endpoints(actions)
        own_data.endpoints(own)
        take_away.endpoints(take_away.TakeAway(lab))
        hub_box.endpoints(lab)
        top = clock.Part(lambda _: page.strip(lab), lambda _: [page.strip(lab)], [strip])
        clock.wire(blocks, lab, selected, [top, *changing, *live])
    return blocks


def launch(blocks: "gr.Blocks", chosen: argparse.Namespace, lab: "Lab") -> "Landing":
    """Serves the page, looks after the runs, and loads the models while the page already opens.
    Returns the thread that looks after the runs, which its `stop` ends."""
    from demos import page, server, sessions
    from demos.serving.landing import Landing

    user, _, password = chosen.auth.partition(":")
    blocks.queue(default_concurrency_limit=8, max_size=256)
    blocks.launch(
        server_name=chosen.host,
        server_port=chosen.port,
        share=chosen.share,
        show_error=True,
        auth=(user, password) if user else None,
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        max_file_size=(uploads.OWN if lab.training else uploads.UPLOAD) + uploads.AROUND,
        state_session_capacity=sessions.VISITS,
        enable_monitoring=False,
        app_kwargs=server.guarded(
            server.addresses(chosen.host, chosen.share), own_data=lab.training
        ),
        footer_links=["api"],
        theme=page.theme(),
        css=page.CSS,
        js=page.JS,
        head=page.HEAD,
    )
    landing = Landing(lab)
    landing.start()
    for slot in lab.slots.values():
        if slot.active_id:
            threading.Thread(target=slot.get, daemon=True).start()
    return landing


def main(argv: list[str] | None = None) -> None:
    chosen = options(argv)
    training, why_not = may_train(chosen)
    on_space = bool(os.environ.get("SPACE_ID"))
    runs = Path(chosen.runs).resolve()
    lab = open_lab(runs, training, why_not, on_space, is_alone(chosen), signs_in())
    try:
        uploads.claim_folder()
    except OSError as error:
        sys.exit(
            f"error: no folder for uploads can be made ({error}). Set {uploads.VARIABLE} to a "
            "folder that can be written to, with room for 1 GB."
        )
    blocks = build(lab)
    try:
        launch(blocks, chosen, lab)
    except OSError as error:
        sys.exit(
            f"error: cannot listen on {chosen.host}:{chosen.port}. Is another program using it? "
            f"Choose another port with --port. ({error})"
        )
    print(
        f"Transfer Lab is at {blocks.local_url}"
        + (f" and {blocks.share_url}" if blocks.share_url else "")
    )
    print(lab.why_not or f"Runs are kept in {lab.runs}.", flush=True)
    signal.signal(signal.SIGTERM, _end)
    blocks.block_thread()


def _end(number: int, _: object) -> None:
    """Ends as ever, but for the uploads, which do not stay behind."""
    uploads.remove_folders()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()
