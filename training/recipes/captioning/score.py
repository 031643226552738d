"""How the captioning recipe scores: the test part read once, captions by beam search, as the page
writes them."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from training.data.examples import Data
from training.data.pictures import Pictures, Store, read_pixels, write_thumbnail
from training.device import device, move
from training.judge import captions as caption_report
from training.judge.captions import Caption
from training.judge.exam import Exam, Findings
from training.judge.records import CIDER, Score
from training.learn import features, known
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipes.captioning import metrics
from training.recipes.captioning.config import BEAMS, Config
from training.recipes.captioning.data import list_captions, tidy
from training.recipes.captioning.model import (
    Captioner,
    CaptionPreprocessor,
    Teller,
    encode,
    find_begin,
    generate,
    get_encoder,
    is_captioner,
    open_network,
    pad,
)
from training.runs.batches import batches
from training.runs.records import JsonValue
from training.runs.run import Run

STEP = 32  # pictures at a time
SHOWN = 12  # best and worst captions in the report, each


def _encode_all(
    net: Captioner,
    preprocessor: CaptionPreprocessor,
    given: Store | Tensor,
    run: Run | None,
) -> Iterator[Tensor]:
    """What the encoder makes of a Store's pictures, or made of them already, some at a time. Raises
    Stopped."""
    where = next(net.parameters()).device
    for at in batches(len(given), STEP, run):
        if isinstance(given, Tensor):
            yield given[at].to(where).float()
        else:
            pixels = torch.from_numpy(np.asarray(given[np.arange(at.start, at.stop)]))
            yield encode(net, preprocessor.pictures.normalise(pixels.to(where)))


@torch.inference_mode()
def write_captions(
    net: Captioner,
    preprocessor: CaptionPreprocessor,
    given: Store | Tensor,
    run: Run | None = None,
    beams: int = BEAMS,
) -> list[str]:
    """A caption for each picture of a Store (or for each encoding). Raises Stopped."""
    net.eval()
    said: list[str] = []
    for states in _encode_all(net, preprocessor, given, run):
        ids = generate(net, states, num_beams=beams, do_sample=False)[:, 1:]  # without their begin
        said += [
            tidy(text)
            for text in preprocessor.tokenizer.batch_decode(ids, skip_special_tokens=True)
        ]
    return said


@torch.inference_mode()
def compute_loss(
    net: Captioner,
    preprocessor: CaptionPreprocessor,
    pictures: Pictures,
    given: Store | Tensor,
    most: int,
    run: Run | None = None,
) -> float:
    """Mean loss a word on the first caption of each picture, in nats."""
    net.eval()
    texts = [captions[0] for captions in list_captions(pictures)]
    total = 0.0
    count = 0
    start = find_begin(net)
    padding = preprocessor.padding
    teller = Teller(net, net)
    for number, states in enumerate(_encode_all(net, preprocessor, given, run)):
        rows = preprocessor.tokenize(texts[number * STEP : number * STEP + len(states)], most)
        read, write, real = (t.to(states.device) for t in pad(rows, start, padding))
        logits, _ = teller(states, read, real, 1, True)
        total += float(F.cross_entropy(logits.float(), write[real], reduction="sum"))
        count += len(logits)
    return total / max(count, 1)


def judge(
    net: Captioner,
    preprocessor: CaptionPreprocessor,
    held_out: Pictures,
    given: Store | Tensor,
    config: Config,
    run: Run,
) -> tuple[float, float]:
    """What an epoch is judged by, higher is better, and the loss. Raises Stopped."""
    loss = compute_loss(net, preprocessor, held_out, given, config.words, run)
    if config.best == "loss":
        return math.exp(-loss), loss
    said = write_captions(net, preprocessor, given, run, beams=1)
    return float(metrics.cider_d(said, list_captions(held_out)).mean()), loss


def compute_encodings(
    net: Captioner, preprocessor: CaptionPreprocessor, pictures: Pictures, run: Run
) -> Tensor:
    """(N, places, width) of these pictures: from the disk, or computed now and kept. Raises
    Stopped."""
    order = pictures.places.argsort()
    key = features.make_key(
        get_encoder(net).state_dict(), pictures[order], preprocessor.pictures.fingerprint
    )
    net.eval()
    move(net)

    def compute(indices: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(np.asarray(read_pixels(pictures, indices, preprocessor.pictures)))
        with torch.no_grad():
            return encode(net, preprocessor.pictures.normalise(pixels.to(device())))

    return features.load_or_compute(run.path.parent, key, order, compute, run, STEP)


def compute_means(
    net: Captioner,
    preprocessor: CaptionPreprocessor,
    pictures: Pictures,
    at: np.ndarray,
    run: Run,
    frozen: bool,
) -> Tensor:
    """(len(at), width), the mean over all places of what the encoder makes of some of these
    pictures. With method frozen there is that of all of them already. Raises Stopped."""
    if frozen:
        return known.pool(compute_encodings(net, preprocessor, pictures, run)[at])
    net.eval()
    move(net)

    def compute(indices: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(np.asarray(read_pixels(pictures, indices, preprocessor.pictures)))
        with torch.no_grad():
            return known.pool(encode(net, preprocessor.pictures.normalise(pixels.to(device()))))

    return features.compute_now(at, compute, run, STEP)


# -- the exam --------------------------------------------------------------------------------------
def make_exam(config: Config, data: Data[Image.Image]) -> Exam[list[str]]:
    """The test part of the config's data: what is to be seen? Answers are sentences."""
    pictures = data.test
    references = list_captions(pictures)
    stores: dict[PicturePreprocessor, Store] = {}

    def ask(path: Path, run: Run | None) -> list[str]:
        net, preprocessor = open_network(path)
        if config.method == "frozen" and run:
            return write_captions(
                net, preprocessor, compute_encodings(net, preprocessor, pictures, run), run
            )
        if preprocessor.pictures not in stores:
            stores[preprocessor.pictures] = Store(
                pictures, preprocessor.pictures, run.beat if run else int
            )
        move(net)
        return write_captions(net, preprocessor, stores[preprocessor.pictures], run)

    def score(captions: list[str]) -> Score:
        return score_captions(captions, references)

    def find_refusal(path: Path) -> str:
        return "" if is_captioner(path) else "The checkpoint writes no captions."

    def find(captions: list[str], before: Score | None, after: Score, folder: Path) -> Findings:
        shown = write_best_and_worst(captions, pictures, folder)
        table = caption_report.make_table(before, after)
        sections = [table, *caption_report.make_galleries(shown)]
        return Findings(sections, facts=cast(dict[str, JsonValue], {"captions": shown}))

    return Exam(
        f"{config.data_name} ({config.source})",
        data.about,
        CIDER,
        ask,
        score,
        find_refusal,
        is_captioner,
        find,
        data.problems,
        data.notes,
        lambda captions: metrics.cider_d(captions, references),
    )


def score_captions(captions: list[str], references: list[list[str]]) -> Score:
    found = metrics.scores(captions, references)
    low, high = found["cider_d_interval"]
    own = ("cider_d", "cider_d_interval", "n")
    more = {name: value for name, value in found.items() if name not in own}
    figures = cast(dict[str, JsonValue], more)
    return Score(CIDER, found["cider_d"], (low, high), found["n"], figures)


def write_best_and_worst(
    captions: list[str], pictures: Pictures, folder: Path
) -> dict[str, list[Caption]]:
    """The captions with the highest and the lowest scores, with their pictures."""
    references = list_captions(pictures)
    each = metrics.cider_d(captions, references)
    order = np.argsort(-each, kind="stable")

    def show(index: int) -> Caption:
        stem = folder / f"caption-{index:05}"
        return {
            "picture": write_thumbnail(pictures.read_one(index), stem),
            "said": captions[index],
            "references": references[index],
            "score": round(float(each[index]), 3),
            "file": pictures.name_one(index),
        }

    chosen = {"best": order[:SHOWN].tolist(), "worst": order[::-1][:SHOWN].tolist()}
    return {kind: [show(index) for index in indices] for kind, indices in chosen.items()}
