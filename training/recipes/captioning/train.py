"""How the captioning recipe trains: a picture's captions share one look at it, and the lesson for
the loop.

See training/recipes/captioning/config.py for its settings, training/learn/finetune.py for the run
from data to report.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.examples import Data
from training.data.pictures import MARGIN, Pictures, Store
from training.device import device
from training.judge.exam import sit
from training.learn.backbone import with_lora
from training.learn.finetune import Task, checksum
from training.learn.loop import Lesson, by_length
from training.media.picture_augment import augment, draws
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipe import Metrics
from training.recipes.captioning import data as caption_data
from training.recipes.captioning import model as caption_model
from training.recipes.captioning import score as caption_score
from training.recipes.captioning.config import Config
from training.recipes.captioning.model import Eye, Teller
from training.runs.checkpoint import Checkpoint
from training.runs.run import Run

JUDGED = 300  # held-out pictures that an epoch is judged by, at most
NAMES = 1000  # words that the encoder learns to name, at most
# share of the pictures that such a word occurs with
RARE = 0.003
COMMON = 0.3


class Sentences:
    """The captions of a part's pictures as numbers, and which of them an epoch learns from: every
    one in its turn."""

    def __init__(self, part: Pictures, eye: Eye, config: Config):
        texts = [part.texts[place] for place in part.places]
        flat = iter(eye.spelled([text for each in texts for text in each], config.words))
        self.ids = [[next(flat) for _ in each] for each in texts]
        self.first = np.random.default_rng(config.seed).integers(0, 1000, len(texts))
        self.each = config.each
        self.pad = eye.tokenizer.pad_token_id

    def chosen(self, index: int, epoch: int) -> list[list[int]]:
        """`each` captions of a picture."""
        own = self.ids[index]
        return [
            own[(int(self.first[index]) + epoch * self.each + turn) % len(own)]
            for turn in range(self.each)
        ]

    def lengths(self, epoch: int) -> np.ndarray:
        return np.array([max(map(len, self.chosen(i, epoch))) for i in range(len(self.ids))])

    def batch(self, indices: Tensor, epoch: int, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder reads, what it is to write, (N, each, L), and where that is a word."""
        rows = [ids for i in indices.tolist() for ids in self.chosen(i, epoch)]
        return tuple(
            t.unflatten(0, (-1, self.each)) for t in caption_model.padded(rows, start, self.pad)
        )


def named_words(part: Pictures) -> list[str]:
    """Words that tell pictures apart: neither rare nor in every other caption."""
    found = Counter(word for place in part.places for word in set(_words(part.texts[place])))
    least = max(3, RARE * len(part))
    most = COMMON * len(part)
    return [word for word, count in found.most_common() if least <= count <= most][:NAMES]


def _words(texts: list[str]) -> list[str]:
    return re.findall(r"[^\W\d_]+", " ".join(texts).lower())


def named(part: Pictures, names: Sequence[str]) -> Tensor:
    """(N, names): which of them the captions of each picture hold."""
    place = {name: i for i, name in enumerate(names)}
    out = torch.zeros(len(part), len(names), dtype=torch.bool)
    for row, at in enumerate(part.places):
        out[row, [place[word] for word in set(_words(part.texts[at])) if word in place]] = True
    return out


def judging(validation: Pictures) -> Pictures:
    """Those that an epoch is judged by."""
    return validation[np.arange(min(JUDGED, len(validation)))]


def lesson(
    learner: Teller,
    net: nn.Module,
    eye: Eye,
    part: Pictures,
    given: Any,
    validation: Pictures,
    held: Any,
    config: Config,
    run: Run,
) -> Lesson:
    """`given` and `held` are Stores of pictures, or Tensors of what the encoder made of them."""
    where = device()
    encoded = isinstance(given, Tensor)
    sentences = Sentences(part, eye, config)
    start = net.config.decoder_start_token_id
    table = lru_cache(maxsize=2)(lambda epoch: draws(len(part), config.seed, epoch))
    names = named(part, learner.names) if learner.names else None
    usual = float(names.float().sum(1).mean()) if names is not None else 1.0

    def fetch(indices: Tensor, epoch: int) -> dict[str, Tensor]:
        read, write, real = sentences.batch(indices, epoch, start)
        shown = given[indices] if encoded else given.batch(indices)
        batch = {
            "shown": shown,
            "rows": table(epoch)[indices],
            "read": read,
            "write": write,
            "real": real,
        }
        return batch | ({"names": names[indices]} if names is not None else {})

    def loss(model: nn.Module, batch: dict[str, Tensor], piece: slice) -> Tensor:
        own = {
            name: t[piece].to(where, non_blocking=True)
            for name, t in batch.items()
            if name != "rows"
        }
        if not encoded:
            x = augment(
                own["shown"],
                batch["rows"][piece],
                (eye.looks.size, eye.looks.size),
                config.augmentation,
                config.crop,
            )
            own["shown"] = eye.looks.normalise(x)
        real = own["real"].flatten(0, 1)
        logits, guessed = model(
            own["shown"].float(), own["read"].flatten(0, 1), real, sentences.each, encoded
        )
        told = F.cross_entropy(
            logits.float(),
            own["write"].flatten(0, 1)[real],
            reduction="sum",
            label_smoothing=config.label_smoothing,
        )
        total = (
            told * len(batch["read"]) / int(batch["real"].sum())
        )  # a picture's share of the words of its batch
        if guessed is not None:
            wrong = F.binary_cross_entropy_with_logits(
                guessed.float(), own["names"].float(), reduction="sum"
            )
            total = total + config.naming * wrong / usual
        return total

    def judge() -> tuple[float, float]:
        return caption_score.judged(net, eye, validation, held, config, run)

    def begin(model: nn.Module) -> None:
        model.train()
        if encoded:
            net.encoder.eval()

    return Lesson(
        len(part),
        checksum(part),
        fetch,
        loss,
        judge if len(validation) else None,
        f"{'CIDEr-D' if config.best == 'cider' else 'a word'} of {len(validation):,} held out of "
        "train",
        begin,
        clip=1.0,
        ahead=encoded or given.packed is None or where != "cpu",
        order=lambda epoch: by_length(
            sentences.lengths(epoch), config.batch_size, config.seed, epoch
        ),
        tell="{:.3f}" if config.best == "cider" else "{:.2%}",
    )


class CaptionTask(Task):
    things = "pictures"
    slot = "captions"
    config: Config

    def load(self) -> Data:
        data = caption_score.load(self.config.dataset, self.config.source, self.config.folder)
        return caption_data.with_scenes(data, self.config.scenes) if self.config.scenes else data

    def find(self) -> tuple[Checkpoint | None, str]:
        return (None, "") if self.config.joins else super().find()

    def begins_with(self, base: Checkpoint | None) -> str:
        return base.id if base else " + ".join(self.config.parts)

    def build(self, base: Checkpoint | None, data: Data) -> tuple[nn.Module, Eye]:
        texts = [text for place in data.train.places for text in data.train.texts[place]]
        self.net, eye, revisions = caption_model.build(
            self.config, base, texts, self.run.path.parent
        )
        if any(revisions.values()):
            self.run.record(parts=revisions)
        return self.net, eye

    def described(self, part: Pictures, validation: Pictures, data: Data) -> str:
        count = sum(len(part.texts[place]) for place in part.places)
        return (
            f"{len(part):,} training pictures with {count:,} captions, {len(validation):,} "
            f"pictures held out of them; test: {data.about}"
        )

    def around(self, learner: nn.Module) -> nn.Module:
        return Teller(
            learner, self.net, tuple(named_words(self.part)) if self.config.naming else ()
        )

    def told(self, model: nn.Module, eye: Eye, part: Pictures, data: Data) -> list[str]:
        self.part = part
        return []

    def lora(self, model: nn.Module) -> nn.Module:
        """What a joined captioner has of its own is new, and learns whole."""
        new = [
            name
            for name, _ in model.named_modules()
            if name.endswith((".crossattention", ".ln_cross_attn", "enc_to_dec_proj"))
        ]
        return with_lora(model, self.config.lora_rank, new if self.config.joins else [])

    def lesson(self, learner: Teller, eye: Eye, part: Pictures, validation: Pictures) -> Lesson:
        self.run.beat("preparing the pictures")
        given = Store(
            part,
            PicturePreprocessor(max(min(part.natural, round(MARGIN * eye.looks.size)), 1)),
            self.run.beat,
        )
        validation = judging(validation)
        held = Store(validation, eye.looks, self.run.beat)
        return lesson(learner, self.net, eye, part, given, validation, held, self.config, self.run)

    def frozen_lesson(
        self, model: nn.Module, eye: Eye, part: Pictures, validation: Pictures
    ) -> tuple[nn.Module, Lesson]:
        validation = judging(validation)
        given, held = (caption_score.encodings(model, eye, p, self.run) for p in (part, validation))
        learns = nn.ModuleList([m for name, m in model.named_children() if name != "encoder"])
        learner = Teller(learns, model).to(device())
        return learner, lesson(
            learner, model, eye, part, given, validation, held, self.config, self.run
        )

    def examine(self, data: Data, base: Checkpoint | None) -> Metrics:
        return sit(caption_score.CaptionExam(self.config, data), self.run, base, self.slot)

    def save(self, model: nn.Module, eye: Eye, staging: Path) -> None:
        super().save(self.net.cpu(), eye, staging)
