"""The digits tab: every picture gets an answer or one clear sentence, in process and over the
API."""

import math
import os
import struct
import zlib
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio.components.image_editor import EditorData, EditorDataBlobs
from gradio.data_classes import FileData
from gradio_client import Client, handle_file
from PIL import Image, ImageDraw, ImageOps
from safetensors.torch import load_file, save_file
from serving import drawing, encoded, ended_run, fresh_app, is_a_sentence, served_app
from starlette.testclient import TestClient

from demos import digits, page
from demos.serving.lab import Lab
from training.media.pictures import load_picture
from training.recipes.digits.data import CLASSES
from training.runs.job import ROOT

ENDPOINTS = {"classify_digit": "digits", "classify_fashion": "fashion"}
KEYS = {"label", "checkpoint", "milliseconds"}  # whatever the checkpoint carries
UPLOADED = {"meta": {"_type": "gradio.FileData"}}


# -- pictures --------------------------------------------------------------------------------------
def turned_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter, clockwise
    return encoded(drawing().transpose(Image.Transpose.ROTATE_90), exif=exif)


def sixteen_bits() -> bytes:
    return encoded(Image.fromarray(np.asarray(drawing()).astype(np.uint16) * 257))


def with_alpha() -> bytes:
    ink = Image.new("RGBA", drawing().size, (0, 0, 0, 0))
    ink.putalpha(drawing())
    return encoded(ink)


def off_centre() -> bytes:
    canvas = Image.new("L", (400, 300))
    canvas.paste(drawing(80), (310, 10))
    return encoded(canvas)


def huge() -> bytes:
    """50 megapixels, of one bit each."""
    picture = Image.new("1", (7100, 7100))
    ImageDraw.Draw(picture).line([(1500, 1500), (5000, 1500), (3000, 6000)], fill=1, width=700)
    return encoded(picture, compress_level=1)


def too_large() -> bytes:
    """A header that promises 40,000 x 40,000 pixels, and no pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"0"))
        + chunk(b"IEND", b"")
    )


# one drawing, in files that a plain Image.open shows turned, clipped, black or in other colours
SAME = {
    "turned by EXIF": ("a.png", turned_by_exif),
    "16 bits": ("a.png", sixteen_bits),
    "CMYK": ("a.tif", lambda: encoded(drawing().convert("CMYK"), "TIFF")),
    "a palette": ("a.gif", lambda: encoded(drawing().convert("P"), "GIF")),
    "animated": (
        "a.gif",
        lambda: encoded(
            drawing(), "GIF", save_all=True, append_images=[Image.new("L", (200, 200))]
        ),
    ),
    "named otherwise": ("a.jpg", lambda: encoded(drawing())),
    "an odd name": ("ü 1%.png", lambda: encoded(drawing())),
}
ANSWERED = {
    "plain": ("a.png", lambda: encoded(drawing())),
    "faint": ("a.png", lambda: encoded(drawing().point(lambda v: 110 + v // 8))),
    "off-centre": ("a.png", off_centre),
    "inverted": ("a.png", lambda: encoded(ImageOps.invert(drawing()))),
    "CMYK JPEG": ("a.jpg", lambda: encoded(drawing().convert("CMYK"), "JPEG")),
    "alpha": ("a.png", with_alpha),
    "WebP": ("a.webp", lambda: encoded(drawing().convert("RGB"), "WEBP")),
    "huge": ("a.png", huge),
}
REFUSED = {
    "1x1": ("a.png", lambda: encoded(Image.new("L", (1, 1), 200)), "nothing drawn"),
    "blank": ("a.png", lambda: encoded(Image.new("RGB", (300, 300), "white")), "nothing drawn"),
    "cut off": (
        "a.png",
        lambda: encoded(drawing().resize((400, 400)))[:300],
        "damaged or incomplete",
    ),
    "broken": ("a.png", lambda: encoded(drawing())[:20] + b"broken" * 30, "damaged or incomplete"),
    "empty": ("a.png", lambda: b"", "is empty (0 bytes)"),
    "text named png": ("a.png", lambda: b"Dear reader, this is no picture.", "not a picture"),
    "svg": (
        "a.svg",
        lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        "SVG",
    ),
    "too large": ("a.png", too_large, "too large: 40000 × 40000"),
}


# -- the handlers, with no server ------------------------------------------------------------------
def test_classify_names_its_checkpoint_and_ranks_all_labels(slots, ended):
    run = ended(seed=1)
    answer = digits.classify(slots["digits"], drawing(), run.id)
    shares = list(answer.confidences.values())
    assert sorted(answer.confidences) == CLASSES["mnist"] and shares == sorted(shares, reverse=True)
    assert math.isclose(sum(shares), 1, abs_tol=1e-5) and answer.label == next(
        iter(answer.confidences)
    )
    assert (
        answer.checkpoint == run.id
        and answer.name.endswith(run.id[-4:])
        and answer.trained_on == "mnist (test)"
    )
    assert (
        answer.milliseconds > 0 and answer.seen.shape == (28, 28) and answer.seen.dtype == np.uint8
    )
    assert digits.classify(slots["digits"], drawing()).checkpoint == "embedded-digits"


def test_labels_are_shown_as_words_and_told_as_the_data_set_has_them(slots, ended):
    run = ended(slot="fashion")
    weights = run.checkpoint / "model.safetensors"
    tensors = load_file(weights)
    tensors["head.bias"][0] = 1000  # it takes everything for a T-shirt
    save_file(tensors, weights, {"format": "pt"})
    answer = digits.classify(slots["fashion"], drawing(), run.id)
    assert (
        next(iter(answer.confidences)) == "T-shirt or top"
        and answer.json["label"] == "T - shirt / top"
    )
    assert "Ankle boot" in answer.confidences


def test_each_slot_frames_the_picture_as_its_checkpoint_was_trained(slots):
    digit, garment = (
        digits.classify(slots[name], drawing()).seen for name in ("digits", "fashion")
    )
    assert np.argwhere(digit).min() >= 1 and (garment[0].any() or garment[:, 0].any())


def test_own_labels_travel_in_the_checkpoint(slots, ended):
    run = ended(labels=["cat", "dog", "fox"])
    assert set(digits.classify(slots["digits"], drawing(), run.id).confidences) == {
        "cat",
        "dog",
        "fox",
    }


@pytest.fixture
def lab(runs, slots):
    return Lab(runs, slots)


def shown(values: list) -> list[tuple]:
    assert len(values) == 2 * len(digits.SLOTS)
    return list(zip(values[::2], values[1::2], strict=True))


@pytest.mark.parametrize(
    "drawn",
    [
        None,
        {"composite": None},
        {"composite": encoded(Image.new("RGBA", (320, 320), (0, 0, 0, 0)))},
        {"composite": encoded(Image.new("RGBA", (320, 320), "white"))},
    ],
    ids=["nothing", "no composite", "transparent", "white"],
)
def test_an_empty_canvas_gives_a_friendly_line_in_place_of_an_answer(lab, drawn):
    for label, line in shown(digits.ask_canvas(lab, drawn, "active", "active")):
        assert label is None and "draw" in line.lower() and 'class="notice' in line


def test_a_drawing_on_the_canvas_is_answered_by_both_and_shows_what_the_model_saw(lab):
    ink = Image.new("RGBA", (320, 320), (0, 0, 0, 0))
    ImageDraw.Draw(ink).line([(90, 60), (220, 60), (140, 270)], fill=(17, 17, 17, 255), width=16)
    for label, seen in shown(
        digits.ask_canvas(lab, {"composite": encoded(ink)}, "active", "active")
    ):
        assert len(label) == 10 and "data:image/png;base64," in seen and "Built-in" in seen


def test_each_column_asks_the_checkpoint_chosen_in_it(slots, lab, ended):
    run = ended(seed=1)
    (one, seen), (_, other) = shown(
        digits.ask_canvas(lab, {"composite": encoded(drawing())}, run.id, "active")
    )
    assert one == digits.classify(slots["digits"], drawing(), run.id).confidences
    assert run.id[-4:] in seen and run.id[-4:] not in other


def test_a_checkpoint_that_is_gone_gives_a_line_and_the_other_column_still_answers(lab):
    (label, line), (other, _) = shown(
        digits.ask_canvas(lab, {"composite": encoded(drawing())}, "digits-1-gone", "active")
    )
    assert label is None and "There is no checkpoint" in line and len(other) == 10


def test_a_photo_is_answered_and_a_broken_one_gets_a_line(lab, tmp_path):
    (tmp_path / "seven.png").write_bytes(encoded(drawing()))
    (tmp_path / "<b>.png").write_bytes(b"no picture")
    for label, _ in shown(digits.ask_photo(lab, str(tmp_path / "seven.png"), "active", "active")):
        assert len(label) == 10
    for label, line in shown(digits.ask_photo(lab, str(tmp_path / "<b>.png"), "active", "active")):
        assert label is None and "not a picture" in line and "&lt;b&gt;.png" in line
    for label, line in shown(digits.ask_photo(lab, None, "active", "active")):
        assert label is None and "Draw a digit" in line


def uploaded(path: Path) -> EditorData:
    return EditorData(composite=FileData(path=str(path), orig_name=path.name))


@pytest.mark.parametrize("name", ["too large", "cut off", "text named png"])
def test_a_canvas_that_is_sent_a_file_answers_as_a_photo_does(lab, tmp_path, monkeypatch, name):
    file, content, words = REFUSED[name]
    (tmp_path / file).write_bytes(content())
    canvas = page.canvas("canvas")
    monkeypatch.setattr(canvas, "GRADIO_CACHE", str(tmp_path))
    drawn = canvas.preprocess(uploaded(tmp_path / file))
    for label, line in shown(digits.ask_canvas(lab, drawn, "active", "active")):
        assert label is None and words in line


def test_a_canvas_reads_no_file_of_the_server(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(drawing()))
    with pytest.raises(gr.Error, match="A path is not read here"):
        page.canvas("canvas").preprocess(uploaded(tmp_path / "a.png"))


def test_what_a_browser_drew_is_asked_about_once():
    canvas = page.canvas("canvas")
    drawn = EditorDataBlobs(background=None, layers=[], composite=encoded(drawing()))
    canvas.blob_storage["a"] = drawn
    assert canvas.preprocess(EditorData(id="a")) == {"composite": encoded(drawing())}
    assert canvas.preprocess(EditorData(id="a")) == {"composite": None}


@pytest.mark.parametrize("example", sorted(digits.EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_every_example_on_the_page_is_answered(lab, example):
    for label, _ in shown(digits.ask_photo(lab, str(example), "active", "active")):
        assert len(label) == 10


# -- the endpoints ---------------------------------------------------------------------------------
class Api:
    """The endpoints in process, as a browser or a program reaches them."""

    def __init__(self, app):
        import gradio as gr

        self.http = TestClient(gr.routes.App.create_app(app))
        self.slots = app.lab.slots

    def upload(self, name: str, content: bytes) -> dict:
        """What the upload of a file leaves and returns; the real one needs a server, and is used
        further down."""
        path = Path(os.environ["GRADIO_TEMP_DIR"], f"{zlib.crc32(content):x}", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {"path": str(path), "orig_name": name, **UPLOADED}

    def __call__(self, endpoint: str, *data) -> httpx.Response:
        return self.http.post(f"/gradio_api/run/{endpoint}", json={"data": list(data)})


@pytest.fixture(scope="module")
def lab_runs(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tab") / "runs"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def other(lab_runs):
    """A finished run, which answers only where it is asked for."""
    return ended_run(lab_runs, seed=3)


@pytest.fixture(scope="module")
def api(lab_runs, other):
    with fresh_app(lab_runs) as app:
        yield Api(app)


def answered(response: httpx.Response) -> tuple[dict, dict]:
    """The two outputs, of the promised shape."""
    assert response.status_code == 200, response.text
    label, told = response.json()["data"]
    assert set(label) == {"label", "confidences"} and len(label["confidences"]) == 10
    shares = [each["confidence"] for each in label["confidences"]]
    assert shares == sorted(shares, reverse=True) and math.isclose(sum(shares), 1, abs_tol=1e-4)
    assert label["label"] == label["confidences"][0]["label"]
    assert KEYS <= set(told) <= KEYS | {"unlike", "unlikeness"} and told["milliseconds"] > 0
    return label, told


def refused(response: httpx.Response) -> str:
    """The sentence."""
    assert response.status_code == 500
    sentence = response.json()["error"]
    assert sentence and is_a_sentence(sentence), sentence
    return sentence


@pytest.mark.parametrize("endpoint, slot", ENDPOINTS.items())
@pytest.mark.parametrize("name, made", ANSWERED.values(), ids=ANSWERED)
def test_every_usable_picture_is_answered(api, endpoint, slot, name, made):
    _, told = answered(api(endpoint, api.upload(name, made()), None))
    assert told["checkpoint"] == f"embedded-{slot}"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("name, made", SAME.values(), ids=SAME)
def test_one_drawing_gets_one_answer_whatever_the_file(api, endpoint, name, made):
    plain, _ = answered(api(endpoint, api.upload("a.png", encoded(drawing())), None))
    assert answered(api(endpoint, api.upload(name, made()), None))[0] == plain


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("name, made, words", REFUSED.values(), ids=REFUSED)
def test_what_is_no_usable_picture_gets_one_clear_sentence(api, endpoint, name, made, words):
    assert words in refused(api(endpoint, api.upload(name, made()), None))


@pytest.mark.parametrize("picture", [None, {"path": None, "url": "http://127.0.0.1:9/a.png"}])
def test_without_a_picture_it_says_so(api, picture):
    assert "There is no picture" in refused(api("classify_digit", picture, None))


def test_a_picture_may_be_sent_as_base64(api):
    import base64

    plain, _ = answered(api("classify_digit", api.upload("a.png", sixteen_bits()), None))
    inline = "data:image/png;base64," + base64.b64encode(sixteen_bits()).decode()
    assert answered(api("classify_digit", {"url": inline}, None))[0] == plain
    for broken in ("data:image/png;base64,AAAA", "data:image/png;base64,A", "data:,"):
        refused(api("classify_digit", {"url": broken}, None))


def test_a_checkpoint_can_be_asked_for_by_id(api, other):
    picture = api.upload("a.png", encoded(drawing()))
    label, told = answered(api("classify_digit", picture, other.id))
    alone = digits.classify(api.slots["digits"], load_picture(picture["path"]), other.id)
    assert told["checkpoint"] == other.id
    assert {each["label"]: each["confidence"] for each in label["confidences"]} == alone.confidences
    for default in (None, "", "active", "embedded-digits"):
        assert (
            answered(api("classify_digit", picture, default))[1]["checkpoint"] == "embedded-digits"
        )


@pytest.mark.parametrize("name", ["digits-1-gone", "../runs", "/etc", 7, "embedded-fashion"])
def test_an_unknown_checkpoint_gets_a_sentence(api, name):
    sentence = refused(api("classify_digit", api.upload("a.png", encoded(drawing())), name))
    assert "There is no checkpoint" in sentence or "belongs in fashion" in sentence


# -- over a real server ----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def served(lab_runs, other, api):
    with served_app(lab_runs) as app:
        yield app


def test_a_program_asks_by_name_with_and_without_a_checkpoint(served, other, tmp_path):
    (tmp_path / "seven.png").write_bytes(encoded(drawing()))
    picture, client = handle_file(tmp_path / "seven.png"), Client(served.local_url, verbose=False)
    try:
        for endpoint, slot in ENDPOINTS.items():
            label, told = client.predict(picture=picture, api_name=f"/{endpoint}")
            assert told["checkpoint"] == f"embedded-{slot}" and len(label["confidences"]) == 10
        label, told = client.predict(
            picture=picture, checkpoint=other.id, api_name="/classify_digit"
        )
        assert told["checkpoint"] == other.id and label["label"] == told["label"]
        with pytest.raises(Exception, match="There is no checkpoint 'nothing'"):
            client.predict(picture, "nothing", api_name="/classify_digit")
    finally:
        client.close()


@pytest.fixture(scope="module")
def server(served):
    with httpx.Client(base_url=f"{served.local_url}gradio_api/", timeout=60) as http:
        yield http


@pytest.fixture
def secret(tmp_path) -> Path:
    """A picture on the server that nobody uploaded."""
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(drawing()))
    return path


@pytest.mark.parametrize(
    "extra",
    [
        {},
        UPLOADED,
        {"url": "http://127.0.0.1:9/a.png"},
        {"orig_name": "a.svg"},
        {"is_stream": True, **UPLOADED},
    ],
)
def test_a_path_of_the_server_is_refused_and_nothing_of_the_file_comes_back(server, secret, extra):
    upload = secret.parent / "uploads"
    paths = [
        str(secret),
        f"{upload}/../{secret.name}",
        "/etc/passwd",
        "requirements.txt",
        "demos/checkpoints/digits/config.json",
        str(ROOT / "demos" / "examples" / "digits" / "seven.png"),
    ]
    for path in paths:
        response = server.post("run/classify_digit", json={"data": [{"path": path, **extra}, None]})
        assert response.status_code == 500 and "confidence" not in response.text, path
        assert any(
            words in response.text
            for words in ("A path is not read here", "was not uploaded by a user")
        )
        for line in (ROOT / "requirements.txt").read_text().splitlines() + ["root:", "model_type"]:
            assert line not in response.text


def test_files_of_the_server_are_not_served(server, secret, other):
    for path in (
        secret,
        "/etc/passwd",
        "requirements.txt",
        ROOT / "app.py",
        other.path / "config.json",
    ):
        assert server.get(f"file={path}").status_code in (403, 404), path


def test_the_photo_field_itself_reads_only_what_was_uploaded(secret):
    from gradio.data_classes import ImageData

    from demos import page

    with pytest.raises(Exception, match="A path is not read here"):
        page.photo().preprocess(ImageData(path=str(secret)))
    assert page.photo().preprocess(None) is None


@pytest.mark.parametrize(
    "slot, names, like",
    [
        ("digits", [str(i) for i in range(10)], True),
        ("digits", [f"{i} - {word}" for i, word in enumerate(digits.NUMBERS)], True),
        ("digits", [*digits.NUMBERS], True),
        ("digits", [f"LABEL_{i}" for i in range(10)], True),
        ("digits", [str(i) for i in range(9)], False),
        ("digits", "airplane automobile bird cat deer dog frog horse ship truck".split(), False),
        ("digits", "Tshirt Trouser Pullover Dress Coat Sandal Shirt Shoe Bag Boot".split(), False),
        ("fashion", "Tshirt Trouser Pullover Dress Coat Sandal Shirt Shoe Bag Boot".split(), True),
        ("fashion", [str(i) for i in range(10)], False),
    ],
)
def test_a_classifier_of_the_hub_is_one_of_digits_by_the_names_of_its_classes(slot, names, like):
    assert digits.HUB[slot].fits(names) == like
