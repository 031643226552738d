"""How the captioning recipe trains: a picture's captions share one look at it, and the lesson for
the loop.

See training/recipes/captioning/config.py for its settings.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BlipForConditionalGeneration

from training.data.pictures import MARGIN, Pictures, Store, measure_usual_side
from training.device import device
from training.judge.exam import run_exam
from training.judge.records import CIDER, Report
from training.learn import backbone, finetune, known
from training.learn.finetune import Session
from training.learn.loop import Lesson, Outcome, order_by_length
from training.media.picture_augment import augment, draws
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipes.captioning import data as caption_data
from training.recipes.captioning import score
from training.recipes.captioning.config import Config
from training.recipes.captioning.data import list_captions
from training.recipes.captioning.model import (
    Captioner,
    CaptionPreprocessor,
    Parts,
    Teller,
    add_lora,
    build_network,
    find_begin,
    find_start,
    get_encoder,
    list_learning,
    pad,
)
from training.runs.run import Run

JUDGED = 300  # held-out pictures that an epoch is judged by, at most
NAMES = 1000  # words that the encoder learns to name, at most
# Share of the pictures that such a word occurs with.
RARE = 0.003
COMMON = 0.3


def train(config: Config, run: Run) -> Report:
    """From the data to the published checkpoint and its report. Raises SettingsError,
    CheckpointError, Stopped."""
    accelerator = finetune.start_accelerator(finetune.wants_half(config.bf16))
    data = finetune.open_data(lambda: caption_data.load_for(config, run), run)
    if config.scenes:
        data = caption_data.add_scenes(data, config.scenes)
    part, validation = finetune.choose_examples(data, config)
    start = find_start(config, run.path.parent, run.slot)
    finetune.check_keep(config, config.method, start)
    texts = [text for each in list_captions(data.train) for text in each]
    net, preprocessor, revisions = build_network(config, start, texts, run.path.parent)
    answers = isinstance(net, BlipForConditionalGeneration)  # what people wrote, since it learned
    whole = answers and config.method == "frozen"  # its decoder learns as all of it would
    rate = backbone.choose_learning_rate(config, "full" if whole else config.method, net, answers)
    finetune.record(
        run,
        start,
        data,
        "pictures",
        (part, validation),
        learning_rate=rate,
        parts=revisions if any(revisions.values()) else {},
    )
    captions = sum(len(each) for each in list_captions(part))
    run.say(
        f"{len(part):,} training pictures with {captions:,} captions, {len(validation):,} pictures "
        f"for validation; test: {data.about}"
    )

    session = Session(config, config.method, rate, start, run, accelerator)
    outcome = _teach(net, preprocessor, part, choose_judged(validation), session)
    frozen = session.method == "frozen"
    knows = known.recognise(
        lambda some, at: score.compute_means(net, preprocessor, some, at, run, frozen),
        part,
        # What method frozen has encodings of.
        choose_judged(validation) if frozen else validation,
        outcome,
        run,
    )

    def save(folder: Path) -> None:
        finetune.describe_data(net.config, data.name, data)
        finetune.save_network(net.cpu(), preprocessor, folder, config.store)
        known.save(knows, folder)

    return finetune.finish(
        run,
        outcome,
        CIDER,
        save,
        lambda: run_exam(score.make_exam(config, data), run, start.checkpoint),
    )


def _teach(
    net: Captioner,
    preprocessor: CaptionPreprocessor,
    part: Pictures,
    judged: Pictures,
    session: Session[Config],
) -> Outcome:
    """By the session's method. Raises SettingsError, Stopped."""
    config, run = session.config, session.run
    if session.method == "frozen":
        learns = Parts(list_learning(net))
        learner = Teller(learns, net).to(device())
        _, outcome = finetune.teach_features(
            learner,
            lambda: _make_frozen_lesson(learner, net, preprocessor, part, judged, config, run),
            session,
            heads=_list_heads(net, learner.namer),
        )
        return outcome
    names = tuple(find_names(part)) if config.naming else ()
    _, outcome = finetune.teach_network(
        net,
        lambda learner: _make_picture_lesson(learner, net, preprocessor, part, judged, config, run),
        session,
        add_lora=lambda network: add_lora(network, config),
        find_heads=lambda learner: _list_heads(net, learner.namer),
        wrap=lambda network: Teller(network, net, names),
    )
    return outcome


def _list_heads(net: nn.Module, namer: nn.Module | None) -> list[nn.Module | nn.Parameter]:
    """What is neither encoder nor decoder."""
    bridge = getattr(net, "enc_to_dec_proj", None)
    return [head for head in (bridge, namer) if head is not None]


# -- captions as numbers ---------------------------------------------------------------------------
class Sentences:
    """The captions of a part's pictures as numbers, and which of them an epoch learns from: every
    one in its turn."""

    def __init__(self, part: Pictures, preprocessor: CaptionPreprocessor, config: Config):
        texts = list_captions(part)
        flat = iter(preprocessor.tokenize([text for each in texts for text in each], config.words))
        self.ids = [[next(flat) for _ in each] for each in texts]
        self.first = np.random.default_rng(config.seed).integers(0, 1000, len(texts))
        self.each = config.each
        self.padding = preprocessor.padding

    def choose(self, index: int, epoch: int) -> list[list[int]]:
        """`each` captions of a picture."""
        own = self.ids[index]
        return [
            own[(int(self.first[index]) + epoch * self.each + turn) % len(own)]
            for turn in range(self.each)
        ]

    def measure_lengths(self, epoch: int) -> np.ndarray:
        return np.array([max(map(len, self.choose(i, epoch))) for i in range(len(self.ids))])

    def batch(self, indices: Tensor, epoch: int, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder reads, what it is to write, (N, each, L), and where that is a word."""
        rows = [ids for i in indices.tolist() for ids in self.choose(i, epoch)]
        read, write, real = (
            t.unflatten(0, (-1, self.each)) for t in pad(rows, start, self.padding)
        )
        return read, write, real


def find_names(part: Pictures) -> list[str]:
    """Words that tell pictures apart, commonest first: neither rare nor in every other caption."""
    # A dict keeps its order where a set's is another one in each process, and with it that of words
    # that are as common: the second head of a run that is continued would name other words.
    found = Counter(
        word for each in list_captions(part) for word in dict.fromkeys(_split_words(each))
    )
    least = max(3, RARE * len(part))
    most = COMMON * len(part)
    return [word for word, count in found.most_common() if least <= count <= most][:NAMES]


def _split_words(texts: list[str]) -> list[str]:
    return re.findall(r"[^\W\d_]+", " ".join(texts).lower())


def mark_names(part: Pictures, names: Sequence[str]) -> Tensor:
    """(N, names): which of them the captions of each picture hold."""
    place = {name: i for i, name in enumerate(names)}
    out = torch.zeros(len(part), len(names), dtype=torch.bool)
    for row, texts in enumerate(list_captions(part)):
        out[row, [place[word] for word in set(_split_words(texts)) if word in place]] = True
    return out


def choose_judged(validation: Pictures) -> Pictures:
    """Those that an epoch is judged by."""
    return validation[np.arange(min(JUDGED, len(validation)))]


# -- lessons ---------------------------------------------------------------------------------------
def _make_frozen_lesson(
    learner: Teller,
    net: Captioner,
    preprocessor: CaptionPreprocessor,
    part: Pictures,
    judged: Pictures,
    config: Config,
    run: Run,
) -> Lesson:
    """On what the encoder makes of each picture, computed once."""
    given = score.compute_encodings(net, preprocessor, part, run)
    held = score.compute_encodings(net, preprocessor, judged, run)
    return make_lesson(learner, net, preprocessor, part, given, judged, held, config, run)


def _make_picture_lesson(
    learner: Teller,
    net: Captioner,
    preprocessor: CaptionPreprocessor,
    part: Pictures,
    judged: Pictures,
    config: Config,
    run: Run,
) -> Lesson:
    run.beat("preparing the pictures")
    # No larger than they are, and a margin larger than the network sees, so that crops stay sharp.
    side = max(min(measure_usual_side(part), round(MARGIN * preprocessor.pictures.size)), 1)
    given = Store(part, PicturePreprocessor(side), run.beat)
    held = Store(judged, preprocessor.pictures, run.beat)
    return make_lesson(learner, net, preprocessor, part, given, judged, held, config, run)


def make_lesson(
    learner: Teller,
    net: Captioner,
    preprocessor: CaptionPreprocessor,
    part: Pictures,
    given: Store | Tensor,
    judged: Pictures,
    held: Store | Tensor,
    config: Config,
    run: Run,
) -> Lesson:
    """`given` and `held`: of the pictures of `part` and `judged`, or what the encoder made of
    them."""
    encoded = isinstance(given, Tensor)
    sentences = Sentences(part, preprocessor, config)
    names = mark_names(part, learner.names) if learner.names else None
    start = find_begin(net)
    table = lru_cache(maxsize=2)(lambda epoch: draws(len(part), config.seed, epoch))

    def fetch(indices: Tensor, epoch: int) -> dict[str, Tensor]:
        read, write, real = sentences.batch(indices, epoch, start)
        batch = {
            "shown": given[indices] if isinstance(given, Tensor) else given.batch(indices),
            "rows": table(epoch)[indices],
            "read": read,
            "write": write,
            "real": real,
        }
        if names is not None:
            batch["names"] = names[indices]
        return batch

    def judge() -> tuple[float, float]:
        return score.judge(net, preprocessor, judged, held, config, run)

    def set_mode(model: nn.Module) -> None:
        model.train()
        if encoded:
            get_encoder(net).eval()

    def order(epoch: int) -> Tensor:
        lengths = sentences.measure_lengths(epoch)
        return order_by_length(lengths, config.batch_size, config.seed, epoch)

    by_cider = config.best == "cider"
    return Lesson(
        len(part),
        finetune.compute_checksum(part),
        fetch,
        _make_loss(preprocessor.pictures, encoded, names, config),
        judge=judge if len(judged) else None,
        judged_on=f"{'CIDEr-D' if by_cider else 'a word'} of {len(judged):,} validation pictures",
        set_mode=set_mode,
        clip=1.0,
        prefetch=encoded or given.packed is None or device() != "cpu",
        order=order,
        score_format="{:.3f}" if by_cider else "{:.2%}",
    )


def _make_loss(
    preprocessor: PicturePreprocessor, encoded: bool, names: Tensor | None, config: Config
) -> Callable[[nn.Module, dict[str, Tensor], slice], Tensor]:
    """The loss of a Lesson: of the words, and of `names`, (N, words), which the encoder names."""
    where = device()
    usual = float(names.float().sum(1).mean()) if names is not None else 1.0  # names a picture

    def vary(pixels: Tensor, rows: Tensor) -> Tensor:
        shape = (preprocessor.size, preprocessor.size)
        return preprocessor.normalise(
            augment(pixels, rows, shape, config.augmentation, config.crop)
        )

    def compute_loss(model: nn.Module, batch: dict[str, Tensor], piece: slice) -> Tensor:
        own = {
            name: column[piece].to(where, non_blocking=True)
            for name, column in batch.items()
            if name != "rows"  # the draws stay on the CPU
        }
        if not encoded:
            own["shown"] = vary(own["shown"], batch["rows"][piece])
        read = own["read"].flatten(0, 1)
        real = own["real"].flatten(0, 1)
        each = own["read"].shape[1]  # captions a picture
        logits, guessed = model(own["shown"].float(), read, real, each, encoded)
        loss = F.cross_entropy(
            logits.float(),
            own["write"].flatten(0, 1)[real],
            reduction="sum",
            label_smoothing=config.label_smoothing,
        )
        # A picture counts by its share of the words of its batch.
        total = loss * len(batch["read"]) / int(batch["real"].sum())
        if guessed is not None:
            wrong = F.binary_cross_entropy_with_logits(
                guessed.float(), own["names"].float(), reduction="sum"
            )
            total = total + config.naming * wrong / usual
        return total

    return compute_loss
