"""How the audio recipe trains: clips of like length together, each varied by its own draw, and the
lesson for the loop.

See training/recipes/audio_intent/config.py for its settings, training/learn/finetune.py for the run
from data to report.
"""

import dataclasses
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.examples import Data
from training.device import cores, device
from training.judge import report
from training.judge.exam import ClassExam
from training.learn.classify import Classification
from training.learn.finetune import checksum
from training.learn.loop import Lesson, by_length
from training.media.sound_augment import vary
from training.recipes.audio_intent import data as audio_data
from training.recipes.audio_intent import model as audio_model
from training.recipes.audio_intent import score as audio_score
from training.recipes.audio_intent.config import Config
from training.recipes.audio_intent.data import RATE, Clips, Heard
from training.recipes.audio_intent.model import Ear
from training.runs.checkpoint import Checkpoint
from training.runs.run import Run

ENOUGH = 200  # optimizer steps of the whole run, below which a network hardly learns


class Speller(nn.Module):
    """A network with a second head, which spells what is said from the last layer, for training
    alone (CTC: Graves et al. 2006). Which words tell an intent is hard to find out from the intent
    alone; what is said, it is told: in letters, or where the data has them in the sounds that are
    spoken, which are learned sooner."""

    def __init__(self, model: nn.Module, texts: list[str]):
        super().__init__()
        self.model = model
        self.config = model.config
        letters = sorted(set("".join(plain(text) for text in texts)))
        self.numbers = {
            letter: number for number, letter in enumerate(letters, 1)
        }  # 0 is CTC's blank
        self.speller = nn.Linear(model.config.hidden_size, len(self.numbers) + 1)

    def forward(self, texts: list[str], **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, (N, labels), and the loss of each clip's spelling, (N,)."""
        out = self.model(**inputs, output_hidden_states=True)
        last = out.hidden_states[-1]
        log = self.speller(last).float().log_softmax(2).transpose(0, 1)
        if "attention_mask" in inputs:
            base = (
                self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
            )
            steps = base._get_feature_vector_attention_mask(
                last.shape[1], inputs["attention_mask"]
            ).sum(1)
        else:
            steps = torch.full((len(texts),), last.shape[1])
        spelled = [[self.numbers[letter] for letter in plain(text)] for text in texts]
        sizes = torch.tensor([len(each) for each in spelled])
        loss = F.ctc_loss(
            log,
            torch.tensor(sum(spelled, []), device=log.device),
            steps.cpu(),
            sizes,
            reduction="none",
            zero_infinity=True,
        )
        return out.logits.float(), loss / sizes.clamp(min=1).to(loss.device)


def plain(text: str) -> str:
    """Its letters, of any script, and spaces: accents are dropped, and so are digits and marks."""
    return "".join(
        each
        for each in unicodedata.normalize("NFKD", text.lower())
        if each.isalpha() or each in " '"
    )


def lesson(
    model: nn.Module, ear: Ear, heard: Heard, held: Heard, config: Config, run: Run
) -> Lesson:
    """Clips, varied as they are fetched, for methods that train the backbone. `model` may be a
    Speller."""
    labels = torch.from_numpy(heard.clips.labels)
    where = device()
    pool = ThreadPoolExecutor(cores())  # numpy and soxr let go of the interpreter
    sees_time = hasattr(model.config, "mask_time_prob")
    spells = isinstance(model, Speller)

    def one(index: int, epoch: int) -> np.ndarray:
        return vary(
            heard[index],
            RATE,
            config.augmentation,
            np.random.default_rng([config.seed, epoch, index]),
        )

    def fetch(indices: Tensor, epoch: int) -> tuple[dict[str, Tensor], Tensor, Tensor, int]:
        clips = list(pool.map(lambda i: one(i, epoch), indices.tolist()))
        return (
            ear.inputs(clips),
            labels[indices],
            indices,
            config.seed * 1_000_003 + epoch * 7919 + int(indices[0]),
        )

    def loss(
        model: nn.Module, batch: tuple[dict[str, Tensor], Tensor, Tensor, int], piece: slice
    ) -> Tensor:
        inputs = {name: t[piece].to(where, non_blocking=True) for name, t in batch[0].items()}
        if sees_time:  # transformers draws SpecAugment's stretches from numpy's own generator
            np.random.seed((batch[3] + piece.start) % 2**32)
        if spells:
            texts = [heard.clips.texts[heard.clips.places[i]] for i in batch[2][piece].tolist()]
            logits, spelling = model(texts, **inputs)
        else:
            logits = model(**inputs).logits.float()
            spelling = torch.zeros(1, device=where)
        return config.spelling * spelling.sum() + F.cross_entropy(
            logits,
            batch[1][piece].to(where),
            label_smoothing=config.label_smoothing,
            reduction="sum",
        )

    def answers() -> np.ndarray:
        return audio_score.predict(model.model if spells else model, held, ear, run)

    return Lesson(
        len(heard),
        checksum(heard.clips),
        fetch,
        loss,
        **report.judged(answers, held.clips.labels),
        clip=1.0,
        ahead=True,
        order=lambda epoch: by_length(heard.lengths, config.batch_size, config.seed, epoch),
    )


class AudioTask(Classification):
    things = "clips"
    slot = "audio"
    config: Config

    def __init__(self, config: Config, run: Run):
        super().__init__(dataclasses.replace(config, method=config.resolved_method), run)

    def load(self) -> Data:
        config = self.config
        return audio_score.load(
            config.dataset, config.source, config.folder, config.language, config.clips
        )

    def build(self, base: Checkpoint | None, data: Data) -> tuple[nn.Module, Ear]:
        return audio_model.build(self.config, base, data.classes)

    def told(self, model: nn.Module, eye: Ear, part: Clips, data: Data) -> list[str]:
        config = self.config
        run = self.run
        run.beat("reading the clips")
        self.heard = Heard(part, config.seconds, run.beat)
        self.seconds = config.seconds or audio_data.limit(self.heard.whole)
        self.heard.cut(self.seconds)
        about = audio_data.lengths(self.heard.whole, self.seconds)
        run.record(method=config.method, seconds=self.seconds, lengths=about)
        run.say(about)
        notes = [*self.heard.problems[:10]]
        if self.seconds * RATE < np.median(self.heard.whole) / 2:
            notes.append(
                f"{self.seconds:g} s are under half the length of most clips: what was said may "
                "lie behind. Leave the length limit at 0."
            )
        steps = -(-len(part) // config.batch_size) * config.epochs
        if steps < ENOUGH and config.method != "frozen":
            notes.append(
                f"{steps} steps in all are too few to learn from: at least {ENOUGH} are usual. "
                "Take more epochs, or smaller batches."
            )
        if config.spelling and not part.texts:
            notes.append(
                "the data does not tell what is said, so spelling cannot be learned from it."
            )
        if eye.alone:
            notes.append(
                "this network hears a clip otherwise when it is padded in a batch (its feature "
                "encoder normalises over time), so clips are scored one at a time, as on the page."
            )
        run.beat(note=notes[-1][0].upper() + notes[-1][1:] if notes else "")
        return notes

    def around(self, learner: nn.Module) -> nn.Module:
        texts = self.heard.clips.texts
        return Speller(learner, texts) if self.config.spelling and texts else learner

    def lesson(self, learner: nn.Module, eye: Ear, part: Clips, validation: Clips) -> Lesson:
        held = Heard(validation, self.seconds, self.run.beat)
        return lesson(learner, eye, self.heard, held, self.config, self.run)

    def frozen(self, model: nn.Module, eye: Ear, part: Clips) -> Tensor:
        heard = self.heard if part is self.heard.clips else Heard(part, self.seconds, self.run.beat)
        return audio_score.frozen_features(model, eye, heard, self.run)

    def head(self, model: nn.Module) -> nn.Module:
        return audio_score.head(model)

    def exam(self, data: Data) -> ClassExam:
        return audio_score.exam(self.config, data)

    def save(self, model: nn.Module, eye: Ear, staging: Path) -> None:
        model.config.seconds = self.seconds
        super().save(model, eye, staging)
