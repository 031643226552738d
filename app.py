"""Transfer Lab: try a model, fine-tune it from the page, see the new checkpoint answer.

python app.py                       opens the page on 127.0.0.1:7860
python app.py --help                its options
"""

import argparse
import importlib
import ipaddress
import os
import sys
import threading
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio loads: no look-up outside, ever
from training import device  # noqa: E402, F401  before torch: it sets what torch reads when it loads

DEMOS = ["captioning", "food", "audio_intent", "digits"]


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
        "--runs", default=env.get("RUNS") or "runs", help="where runs are kept [RUNS, or ./runs]"
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
        help="whether the page may train and swap [TRAINING; on, but off on a Space, with --share "
        "and on a host that others reach, unless there is --auth]",
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
    if (chosen.share or not _loopback(chosen.host)) and not chosen.auth:
        return (
            False,
            "Training is off: others can reach this page, and there is no --auth USER:PASS.",
        )
    return True, ""


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def build(training: bool = True) -> Any:
    """The page, without a server. Returns gradio Blocks; `.slots` are the model slots."""
    import gradio as gr

    from demos import clock, page, training_tab
    from demos.actions import Actions, endpoints

    demos = [importlib.import_module(f"demos.{name}") for name in DEMOS]
    slots = {name: slot for demo in demos for name, slot in demo.SLOTS.items()}
    actions = Actions(slots, training)
    with gr.Blocks(title="Transfer Lab", analytics_enabled=False) as blocks:
        with gr.Row(elem_id="title"):
            gr.Markdown("# Transfer Lab\nTry a model, fine-tune it, see it change.")
            strip = gr.HTML(elem_id="strip")
        selected = clock.hidden()  # the id of the run that a person looks at
        quiet = dict(api_visibility="private", show_progress="hidden", queue=False)
        with gr.Tabs() as tabs:
            parts = []
            for demo in demos:
                with gr.Tab(demo.TITLE, id=demo.RECIPE):
                    parts.append(demo.build(training))
            with gr.Tab("Train", id="train"):
                chooser, live = training_tab.build(actions, demos, tabs, selected)
        for demo, (tune, _) in zip(demos, parts, strict=True):
            tune.click(
                lambda name=demo.RECIPE: (gr.Tabs(selected="train"), name),
                None,
                [tabs, chooser],
                **quiet,
            )
        endpoints(actions)
        top = clock.Part(lambda _: page.strip(training), lambda _: [page.strip(training)], [strip])
        clock.wire(blocks, selected, [top, *(changing for _, changing in parts), *live])
    blocks.slots = slots
    return blocks


def launch(blocks: Any, chosen: argparse.Namespace, training: bool) -> Any:
    """Serves the page, looks after the runs, and warms the models up while the page already
    opens."""
    from demos import page
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
        max_file_size="100mb",
        footer_links=["api"],
        theme=page.theme(),
        css=page.CSS,
        js=page.JS,
        head=page.HEAD,
    )
    blocks.landing = Landing(blocks.slots, training)
    blocks.landing.start()
    for slot in blocks.slots.values():
        threading.Thread(target=slot.get, daemon=True).start()
    return blocks


def main(argv: list[str] | None = None) -> None:
    chosen = options(argv)
    os.environ["RUNS"] = os.path.abspath(chosen.runs)
    training, why = may_train(chosen)
    try:
        blocks = launch(build(training), chosen, training)
    except OSError as error:
        sys.exit(
            f"error: {chosen.host}:{chosen.port} cannot be listened on; is another program there? "
            f"Choose another with --port. ({error})"
        )
    print(
        f"Transfer Lab is at {blocks.local_url}"
        + (f" and {blocks.share_url}" if blocks.share_url else "")
    )
    print(why or f"Runs are kept in {os.environ['RUNS']}.", flush=True)
    blocks.block_thread()


if __name__ == "__main__":
    main()
