"""How the captioning recipe scores: the test part read once, captions by beam search, as the page
writes them."""

import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import VisionEncoderDecoderModel

from training.data.examples import Data
from training.data.pictures import Pictures, Store, thumbnail
from training.device import device
from training.judge.exam import Exam, asked
from training.learn import features
from training.recipe import Metrics
from training.recipes.captioning import data as caption_data
from training.recipes.captioning import metrics as caption_metrics
from training.recipes.captioning.config import BEAMS, Config
from training.recipes.captioning.model import Eye, Teller, for_generate, is_captioner, padded, seen
from training.runs.batches import batches
from training.runs.run import Run

load = functools.lru_cache(maxsize=2)(caption_data.load)
STEP = 32  # pictures at a time
SHOWN = 12  # best and worst captions in the report, each


def _encoded(net: nn.Module, eye: Eye, given: Any, run: Run | None) -> Iterator[Tensor]:
    """What the encoder makes of a Store's pictures, or made of them already, some at a time. Raises
    Stopped."""
    where = next(net.parameters()).device
    for at in batches(len(given), STEP, run):
        if isinstance(given, Tensor):
            yield given[at].to(where).float()
        else:
            pixels = torch.from_numpy(given[np.arange(at.start, at.stop)])
            yield seen(net, eye.looks.normalise(pixels.to(where)))


@torch.inference_mode()
def written(
    net: nn.Module, eye: Eye, given: Any, run: Run | None = None, beams: int = BEAMS
) -> list[str]:
    """A caption for each picture of a Store (or for each encoding). Raises Stopped."""
    net.eval()
    said: list[str] = []
    for states in _encoded(net, eye, given, run):
        ids = net.generate(**for_generate(net, states), num_beams=beams, do_sample=False)
        said += [
            caption_data.tidy(text)
            for text in eye.tokenizer.batch_decode(ids, skip_special_tokens=True)
        ]
    return said


@torch.inference_mode()
def likelihood(
    net: nn.Module, eye: Eye, pictures: Pictures, given: Any, most: int, run: Run | None = None
) -> float:
    """Mean loss a word on the first caption of each picture, in nats."""
    net.eval()
    texts = [pictures.texts[place][0] for place in pictures.places]
    total = 0.0
    count = 0
    start = net.config.decoder_start_token_id
    pad = eye.tokenizer.pad_token_id
    teller = Teller(net, net)
    for number, states in enumerate(_encoded(net, eye, given, run)):
        rows = eye.spelled(texts[number * STEP : number * STEP + len(states)], most)
        read, write, real = (t.to(states.device) for t in padded(rows, start, pad))
        logits, _ = teller(states, read, real, 1, True)
        total += float(F.cross_entropy(logits.float(), write[real], reduction="sum"))
        count += len(logits)
    return total / max(count, 1)


def judged(
    net: nn.Module, eye: Eye, held_out: Pictures, given: Any, config: Config, run: Run
) -> tuple[float, float]:
    """What an epoch is judged by, higher is better, and the loss. Raises Stopped."""
    loss = likelihood(net, eye, held_out, given, config.words, run)
    if config.best == "loss":
        return math.exp(-loss), loss
    references = [held_out.texts[place] for place in held_out.places]
    return float(
        caption_metrics.cider_d(written(net, eye, given, run, beams=1), references).mean()
    ), loss


def encodings(net: nn.Module, eye: Eye, pictures: Pictures, run: Run) -> Tensor:
    """(N, places, width) of these pictures: from the disk, or computed now and kept. Raises
    Stopped."""
    order = pictures.places.argsort()
    key = features.digest(net.encoder.state_dict(), pictures[order], eye.looks.fingerprint)
    net.eval().to(device())

    def compute(indices: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(pictures.pixels(indices, eye.looks))
        with torch.no_grad():
            return seen(net, eye.looks.normalise(pixels.to(device())))

    return features.kept(run.path.parent, key, order, compute, run, STEP)


class CaptionExam(Exam):
    """What is to be seen? Answers are sentences."""

    def __init__(self, config: Config, data: Data):
        self.config = config
        self.pictures = data.test
        self.problems = data.problems
        self.data = f"{config.data_name} ({config.source})"
        self.about = data.about
        self.references = [data.test.texts[place] for place in data.test.places]
        self.prepared: dict[Any, Store] = {}

    def predict(self, path: Path, run: Run | None = None) -> list[str]:
        net, eye = opened(path)
        if self.config.method == "frozen" and run:
            return written(net, eye, encodings(net, eye, self.pictures, run), run)
        if eye.looks not in self.prepared:
            self.prepared[eye.looks] = Store(self.pictures, eye.looks, run.beat if run else int)
        return written(net.to(device()), eye, self.prepared[eye.looks], run)

    def figures(self, answers: list[str]) -> Metrics:
        found = caption_metrics.scores(answers, self.references)
        return {"interval": found.pop("cider_d_interval"), **found}

    def refusal(self, path: Path) -> str:
        return "" if is_captioner(path) else "The checkpoint writes no captions."

    def same(self, path: Path) -> bool:
        return is_captioner(path)

    def drawn(self, answers: list[str], after: Metrics, run: Run) -> Metrics:
        each = caption_metrics.cider_d(answers, self.references)
        order = np.argsort(-each, kind="stable")
        chosen = {"best": order[:SHOWN].tolist(), "worst": order[::-1][:SHOWN].tolist()}
        return {
            "captions": {
                kind: [self._told(i, answers[i], float(each[i]), run) for i in places]
                for kind, places in chosen.items()
            }
        }

    def _told(self, index: int, said: str, score: float, run: Run) -> dict[str, Any]:
        name = thumbnail(self.pictures.one(index), run.report / f"caption-{index:05}")
        return {
            "picture": name,
            "said": said,
            "references": self.references[index],
            "score": round(score, 3),
        }


def opened(path: Path) -> tuple[nn.Module, Eye]:
    """A checkpoint as float32, and how it sees."""
    return VisionEncoderDecoderModel.from_pretrained(
        path, use_safetensors=True, local_files_only=True, dtype=torch.float32
    ), Eye.of(path)


def evaluate(path: Path, config: Config) -> Metrics:
    """Scores of a checkpoint on the config's test pictures. Raises SettingsError on what writes no
    captions."""
    return asked(CaptionExam(config, load(config.dataset, config.source, config.folder)), path)
