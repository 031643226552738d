"""How the audio recipe trains: clips of like length together, each varied by its own draw, and the
lesson for the loop.

See training/recipes/audio_intent/config.py for its settings.
"""

import dataclasses
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel

from training.data.problems import count_problems
from training.device import cores, device, move
from training.judge.records import ACCURACY, Report
from training.learn import backbone, classification, finetune, folds, known
from training.learn.finetune import Session
from training.learn.loop import Lesson, Outcome, order_by_length
from training.media.sound_augment import vary
from training.recipes.audio_intent import data as audio_data
from training.recipes.audio_intent import model as networks
from training.recipes.audio_intent import score
from training.recipes.audio_intent.config import Config
from training.recipes.audio_intent.data import RATE, Clips, Heard
from training.recipes.audio_intent.model import SoundPreprocessor, build_network
from training.runs.batches import Stopped
from training.runs.run import Run
from training.wording import counted, sentence

ENOUGH = 200  # optimizer steps of the whole run, below which a network hardly learns


def train(config: Config, run: Run) -> Report:
    """From the data to the published checkpoint and its report. Raises SettingsError,
    CheckpointError, Stopped."""
    config = dataclasses.replace(config, method=config.resolved_method)
    frozen = config.method == "frozen"
    # A head is so small that casting would be the most of its work.
    accelerator = finetune.start_accelerator(not frozen and finetune.wants_half(config.bf16))
    data = finetune.open_data(lambda: audio_data.load_for(config, run), run)
    data = folds.pool(data, config)
    part, validation = finetune.choose_examples(data, config)
    start = backbone.find_start(config, run.path.parent, run.slot)
    finetune.check_keep(config, config.method, start)
    model, preprocessor = build_network(config, start, data.classes)
    rate = backbone.choose_learning_rate(config, config.method, model)
    finetune.record(
        run,
        start,
        data,
        "clips",
        (part, validation),
        frozen,
        learning_rate=rate,
        method=config.method,
    )
    run.say(classification.describe_examples("clips", part, validation, data))
    heard = _hear(part, config, run)
    preprocessor = networks.fit_window(model, preprocessor, heard.seconds)
    _warn(heard, preprocessor, config, run)

    session = Session(config, config.method, rate, start, run, accelerator)
    lesson, outcome = _teach(model, preprocessor, heard, validation, session, data.folds)
    classification.fit_confidence(
        lambda: networks.find_head(model), lesson, outcome, validation.strata, run
    )

    def compute_received(clips: Clips, at: np.ndarray) -> Tensor:
        if frozen:  # there is that of all of them already
            whole = Heard(clips, heard.seconds, run.beat)
            given = score.compute_features(model, preprocessor, whole, run)[at]
            return networks.pass_on(model, given)
        some = Heard(clips[at], heard.seconds, run.beat)
        return score.compute_received(model, preprocessor, some, run)

    knows = known.recognise(compute_received, part, validation, outcome, run)

    def save(folder: Path) -> None:
        finetune.describe_data(model.config, data.name, data)
        model.config.seconds = heard.seconds
        finetune.save_network(model.cpu(), preprocessor.extractor, folder, config.store)
        known.save(knows, folder)

    def refit(part: Clips, held: Clips, aside: Run) -> np.ndarray:
        again, preprocessor = build_network(config, start, data.classes)
        preprocessor = networks.fit_window(again, preprocessor, heard.seconds)
        session = Session(config, config.method, rate, start, aside, accelerator)
        some = Heard(part, heard.seconds, aside.beat)
        _, outcome = _teach(again, preprocessor, some, part[np.zeros(0, int)], session)
        if outcome.stopped:
            raise Stopped
        move(again)
        others = Heard(held, heard.seconds, aside.beat)
        return score.predict(again, others, preprocessor, aside)

    report = finetune.finish(
        run,
        outcome,
        ACCURACY,
        save,
        lambda: classification.examine(
            score.make_exam(config, data), run, start, data, part, refit
        ),
    )
    classification.warn_if_no_better_than_base(report, run)
    return report


def _teach(
    model: PreTrainedModel,
    preprocessor: SoundPreprocessor,
    heard: Heard,
    validation: Clips,
    session: Session[Config],
    judged_in: int = 0,
) -> tuple[Lesson, Outcome]:
    """By the session's method; `judged_in`: folds of a probe. Raises SettingsError, Stopped."""
    config, run = session.config, session.run
    if session.method == "frozen":
        module = networks.find_head(model)
        held = Heard(validation, heard.seconds, run.beat)
        return classification.teach_head(
            module,
            networks.find_solvable(module),
            lambda: (
                [score.compute_features(model, preprocessor, heard, run)],
                [score.compute_features(model, preprocessor, held, run)],
            ),
            heard.clips,
            validation,
            model.config.num_labels or 0,
            session,
            judged_in,
        )
    texts = audio_data.list_texts(heard.clips) if config.spelling else ()
    return finetune.teach_network(
        model,
        lambda learner: make_lesson(learner, preprocessor, heard, validation, config, run),
        session,
        add_lora=lambda network: backbone.add_lora(network, config.lora_rank),
        find_heads=lambda learner: list_heads(model, learner),
        wrap=lambda network: Speller(network, texts) if texts else network,
    )


def _hear(part: Clips, config: Config, run: Run) -> Heard:
    """The clips up to the length limit, which is chosen by their lengths where none was asked
    for."""
    run.beat("reading the clips")
    heard = Heard(part, config.seconds, run.beat)
    seconds = config.seconds or audio_data.choose_limit(heard.whole)
    heard.cut(seconds)
    about = audio_data.describe_lengths(heard.whole, seconds)
    run.record(seconds=seconds, lengths=about)
    run.say(about)
    return heard


def _warn(heard: Heard, preprocessor: SoundPreprocessor, config: Config, run: Run) -> None:
    """What a person should know before it starts."""
    notes = count_problems(heard.problems)[:10]
    if heard.seconds * RATE < np.median(heard.whole) / 2:
        notes.append(
            f"{heard.seconds:g} s is less than half the length of most clips, so much of what was "
            "said is cut. Leave the maximum length at 0."
        )
    steps = -(-len(heard) // config.batch_size) * config.epochs
    if steps < ENOUGH and config.method != "frozen":
        notes.append(
            f"{counted(steps, 'step')} in all, which is too few to learn much: at least {ENOUGH} "
            "are usual. Take more epochs, or smaller batches."
        )
    if config.spelling and not heard.clips.texts:
        notes.append("the data has no transcripts, so there is no transcription loss.")
    if preprocessor.alone:
        notes.append(
            "this network hears a clip otherwise when it is padded in a batch (its feature encoder "
            "normalises over time), so clips are scored one at a time, as on the page."
        )
    for note in notes:
        run.say(f"note: {note}")
    run.beat(note=sentence(notes[-1]) if notes else "")


def list_heads(model: nn.Module, learner: nn.Module) -> list[nn.Module | nn.Parameter]:
    heads = backbone.list_heads(model)
    return [*heads, learner.speller] if isinstance(learner, Speller) else heads


# -- spelling --------------------------------------------------------------------------------------
class Speller(nn.Module):
    """A network with a second head, which spells what is said from the last layer, for training
    alone (CTC: Graves et al. 2006). Which words tell an intent is hard to find out from the intent
    alone; what is said, it is told: in letters, or where the data has them in the sounds that are
    spoken, which are learned sooner."""

    def __init__(self, model: nn.Module, texts: Sequence[str]):
        super().__init__()
        self.model = model
        self.config = cast(PretrainedConfig, model.config)  # also of what LoRA put around it
        letters = sorted(set("".join(plain(text) for text in texts)))
        self.numbers = {
            letter: number for number, letter in enumerate(letters, 1)
        }  # 0 is CTC's blank
        self.speller = nn.Linear(self.config.hidden_size, len(self.numbers) + 1)

    def forward(self, texts: list[str], **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, (N, labels), and the loss of each clip's spelling, (N,)."""
        out = self.model(**inputs, output_hidden_states=True)
        last = out.hidden_states[-1]
        log = self.speller(last).float().log_softmax(2).transpose(0, 1)
        if "attention_mask" in inputs:
            heard = networks.mark_heard(self.model, last.shape[1], inputs["attention_mask"])
            steps = heard.sum(1)
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


# -- lessons ---------------------------------------------------------------------------------------
def make_lesson(
    model: nn.Module,
    preprocessor: SoundPreprocessor,
    heard: Heard,
    validation: Clips,
    config: Config,
    run: Run,
) -> Lesson:
    """Clips, varied as they are fetched, for methods that train the backbone. `model` may be a
    Speller."""
    held = Heard(validation, heard.seconds, run.beat)
    labels = torch.from_numpy(heard.clips.strata)
    weights = classification.weigh_classes(config.class_weights, heard.clips.strata)
    where = device()
    pool = ThreadPoolExecutor(cores())  # numpy and soxr let go of the interpreter
    texts = audio_data.list_texts(heard.clips)
    masks_time = hasattr(model.config, "mask_time_prob")
    spells = isinstance(model, Speller)
    bare = model.model if spells else model

    def vary_one(index: int, epoch: int) -> np.ndarray:
        draw = np.random.default_rng([config.seed, epoch, index])
        return vary(heard[index], RATE, config.augmentation, draw)

    def fetch(indices: Tensor, epoch: int) -> tuple[dict[str, Tensor], Tensor, Tensor, int]:
        clips = list(pool.map(lambda i: vary_one(i, epoch), indices.tolist()))
        chance = config.seed * 1_000_003 + epoch * 7919 + int(indices[0])
        return preprocessor.prepare(clips), labels[indices], indices, chance

    def compute_loss(
        model: nn.Module, batch: tuple[dict[str, Tensor], Tensor, Tensor, int], piece: slice
    ) -> Tensor:
        prepared, truth, indices, chance = batch
        inputs = {name: t[piece].to(where, non_blocking=True) for name, t in prepared.items()}
        if masks_time:  # transformers draws SpecAugment's stretches from numpy's own generator
            np.random.seed((chance + piece.start) % 2**32)
        if spells:
            said = [texts[int(heard.clips.places[i])] for i in indices[piece].tolist()]
            logits, spelling = model(said, **inputs)
        else:
            logits = model(**inputs).logits.float()
            spelling = torch.zeros(1, device=where)
        return config.spelling * spelling.sum() + classification.sum_cross_entropy(
            logits, truth[piece].to(where), config.label_smoothing, weights
        )

    def predict() -> np.ndarray:
        return score.predict(bare, held, preprocessor, run)

    return Lesson(
        len(heard),
        finetune.compute_checksum(heard.clips),
        fetch,
        compute_loss,
        clip=1.0,
        prefetch=True,
        order=lambda epoch: order_by_length(heard.lengths, config.batch_size, config.seed, epoch),
        **classification.judge_by(predict, validation.strata, config.class_weights),
    )
