"""Memory that hostile and honest large pictures take, printed: of each format while it is decoded,
and of the app while it answers one request, and eight at once.

python tests/benchmarks/picture_memory.py decoders    each format and mode: bytes a pixel
python tests/benchmarks/picture_memory.py app         the app's peak above its idle state
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from timing import ROOT, print_machine

from PIL import Image  # isort: skip
from training.media import pictures  # noqa: F401  it teaches Pillow HEIC, and takes off its limit

MB = 1_000_000
# Of each: mode, format and options of a picture of one colour.
ONE_STRIP = {"compression": "tiff_deflate", "tiffinfo": {278: 1 << 20}}
DECODED = [
    ("1", "PNG", {}),
    ("P", "PNG", {}),
    ("RGB", "PNG", {}),
    ("F", "TIFF", {"compression": "tiff_deflate"}),
    ("F", "TIFF", ONE_STRIP),
    ("RGB", "TIFF", {**ONE_STRIP, "tiffinfo": {278: 1 << 20, 274: 6}}),
    ("P", "GIF", {}),
    ("RGB", "BMP", {}),
    ("RGB", "PPM", {}),
    ("RGB", "WEBP", {"method": 0}),
    ("RGBA", "WEBP", {"lossless": True, "method": 0}),
    ("RGB", "AVIF", {"speed": 10, "subsampling": "4:4:4"}),
    ("RGBA", "AVIF", {"speed": 10}),
    ("RGB", "HEIF", {"chroma": 444}),
    ("RGBA", "HEIF", {}),
    ("RGB", "JPEG2000", {}),
    ("RGB", "JPEG", {}),
    ("RGB", "JPEG", {"progressive": True}),
    ("CMYK", "JPEG", {"progressive": True}),
]


def encode(mode: str, kind: str, side: int, more: dict) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (side, side)).save(buffer, kind, **more)
    return buffer.getvalue()


# -- one decoder -----------------------------------------------------------------------------------
MEASURE = """
import sys
from PIL import Image
from training.media.pictures import ROOM, load_picture
from training.media import pictures
from training.media.picture_memory import prepare
def peak():
    with open("/proc/self/status") as lines:
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
said = []
pictures.prepare = lambda image, size: said.append(prepare(image, size)) or 0
before = peak()
load_picture(sys.argv[1])
print(said[0], peak() - before)
"""


def decoders(side: int = 6000) -> None:
    """What each takes in a process of its own, whatever the budget allows."""
    print(f"\nA picture of {side} × {side}, in bytes a pixel\n")
    print("| format | mode | options | counted | measured |\n| --- | --- | --- | --- | --- |")
    for mode, kind, more in DECODED:
        with tempfile.NamedTemporaryFile() as file:
            file.write(encode(mode, kind, side, more))
            file.flush()
            told = subprocess.check_output([sys.executable, "-c", MEASURE, file.name], cwd=ROOT)
        counted, measured = (int(each) / side**2 for each in told.split())
        options = " ".join(f"{key}={value}" for key, value in more.items())
        print(f"| {kind} | {mode} | {options} | {counted:.2f} | {measured:.2f} |", flush=True)


# -- the app ---------------------------------------------------------------------------------------
@contextlib.contextmanager
def started_app() -> Iterator[tuple[subprocess.Popen, str]]:
    """The app in a process of its own, and its address."""
    with tempfile.TemporaryDirectory() as folder:
        port = "7931"
        here = {**os.environ, "GRADIO_TEMP_DIR": folder + "/uploads"}
        command = [sys.executable, "app.py", "--port", port, "--runs", folder + "/runs"]
        process = subprocess.Popen(command, cwd=ROOT, env=here, stdout=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(240):
                with contextlib.suppress(httpx.HTTPError):
                    httpx.get(url + "/config").raise_for_status()
                    break
                time.sleep(0.5)
            yield process, url
        finally:
            process.terminate()
            process.wait(30)


def read_status(process: subprocess.Popen, key: str) -> int:
    """In bytes: VmRSS is what there is now, VmHWM the most since it was reset."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024


def upload(url: str, name: str, content: bytes) -> dict:
    sent = httpx.post(f"{url}/gradio_api/upload", files={"files": (name, content)}, timeout=600)
    return {"path": sent.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def ask(url: str, place: str, picture: dict) -> str:
    """What an endpoint, or the canvas, says of a picture; the last event of its stream."""
    if place == "canvas":
        return ask_canvas(url, picture)
    call = f"{url}/gradio_api/call/{place}"
    event = httpx.post(call, json={"data": [picture, None]}, timeout=600).json()["event_id"]
    return httpx.get(f"{call}/{event}", timeout=600).text.strip().splitlines()[-1]


def ask_canvas(url: str, picture: dict) -> str:
    config = httpx.get(url + "/config").json()
    canvas = next(
        each["id"] for each in config["components"] if each["props"].get("elem_id") == "canvas"
    )
    asked = next(d for d in config["dependencies"] if [canvas, "change"] in d["targets"])
    drawn = {"background": None, "layers": [], "composite": picture}
    body = {"data": [drawn, "active", "active"], "fn_index": asked["id"], "session_hash": "bench"}
    httpx.post(f"{url}/gradio_api/queue/join", json=body, timeout=600)
    stream = f"{url}/gradio_api/queue/data?session_hash=bench"
    with httpx.stream("GET", stream, timeout=600) as answer:
        for line in answer.iter_lines():
            told = json.loads(line[6:]) if line.startswith("data: ") else {}
            if told.get("msg") == "process_completed":
                return json.dumps(told["output"])
    return ""


def plan() -> bytes:
    return encode("1", "PNG", 30_000, {})


REQUESTS: list[tuple[str, str, Callable[[], bytes]]] = [
    ("canvas", "one-bit PNG, 30,000²", plan),
    ("canvas", "one-bit PNG, 14,000²", lambda: encode("1", "PNG", 14_000, {})),
    ("classify_food", "float TIFF, 14,000²", lambda: encode("F", "TIFF", 14_000, ONE_STRIP)),
    (
        "classify_food",
        "float TIFF in strips, 14,000²",
        lambda: encode("F", "TIFF", 14_000, {"compression": "tiff_deflate"}),
    ),
    ("classify_food", "RGB PNG, 14,000²", lambda: encode("RGB", "PNG", 14_000, {})),
    ("classify_food", "RGBA PNG, 14,000²", lambda: encode("RGBA", "PNG", 14_000, {})),
    (
        "caption",
        "progressive JPEG, 11,000²",
        lambda: encode("RGB", "JPEG", 11_000, {"progressive": True, "subsampling": 0}),
    ),
    ("classify_digit", "WebP, 6,900²", lambda: encode("RGB", "WEBP", 6_900, {"method": 0})),
    ("classify_digit", "16-bit PNG, 14,000²", lambda: encode("I;16", "PNG", 14_000, {})),
    ("classify_digit", "JPEG 2000, 8,000²", lambda: encode("RGB", "JPEG2000", 8_000, {})),
]


def app() -> None:
    with started_app() as (process, url):
        clear = Path(f"/proc/{process.pid}/clear_refs")
        small = upload(url, "small.png", encode("RGB", "PNG", 300, {}))
        for place in ("classify_food", "caption", "classify_digit", "classify_fashion"):
            ask(url, place, small)
        idle = read_status(process, "VmRSS")
        print(f"\nThe app, idle after four answers: {idle / MB:,.0f} MB. Above that:\n")
        print("| request | file | MB at the peak | MB after | seconds | answer |")
        print("| --- | --- | --- | --- | --- | --- |")
        sent = []

        def tell(what: str, size: str, act: Callable[[], str]) -> None:
            clear.write_text("5")  # resets the peak
            began = time.perf_counter()
            said = act()
            seconds = time.perf_counter() - began
            peak, after = ((read_status(process, key) - idle) / MB for key in ("VmHWM", "VmRSS"))
            print(
                f"| {what} | {size} | {peak:,.0f} | {after:,.0f} | {seconds:.1f} | {said} |",
                flush=True,
            )

        def shorten(answer: str) -> str:
            start = answer.find("is too large")
            return answer[start : start + 80] if start >= 0 else "answered"

        for place, what, make in REQUESTS:
            content = make()
            picture = upload(url, "picture", content)
            size = f"{len(content) / MB:.2f} MB"
            tell(
                f"{place}: {what}",
                size,
                lambda place=place, picture=picture: shorten(ask(url, place, picture)),
            )
            if place != "canvas":
                sent.append((place, picture))

        def at_once(requests: list[tuple[str, dict]]) -> str:
            with ThreadPoolExecutor(8) as pool:
                said = list(pool.map(lambda request: shorten(ask(url, *request)), requests))
            return f"{said.count('answered')} answered"

        large = next(picture for place, picture in sent[2:3])
        tell("eight at once: RGB PNG, 14,000²", "", lambda: at_once([("classify_food", large)] * 8))
        tell("eight at once: one of each", "", lambda: at_once(sent[:8]))


if __name__ == "__main__":
    print_machine()
    for name in sys.argv[1:] or ["decoders", "app"]:
        {"decoders": decoders, "app": app}[name]()
