"""Prints how fast the audio recipe and tab are, each as a ratio to a named baseline measured in the
same run.

    python tests/benchmarks/audio_intent.py    all parts but judge, on the embedded sample
    python tests/benchmarks/audio_intent.py predict decode    some parts
    python tests/benchmarks/audio_intent.py judge    on another synthesiser (flite)

Nothing is asserted: machines are noisy, so quote the ratios, with their n. No network is used:
networks are built from their configs, with random weights. `judge` is the one figure that no
setting may be chosen by.
"""

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

from timing import (
    EpochTimer,
    measure,
    median,
    one_epoch,
    print_machine,
    start_accelerator,
    teach,
)

# Wav2Vec2 of a quarter of the base's width: the same parts, in a size that two cores train.
SMALL = dict(
    model_type="wav2vec2",
    conv_dim=(128,) * 7,
    hidden_size=192,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=768,
    num_conv_pos_embeddings=32,
    num_conv_pos_embedding_groups=8,
    classifier_proj_size=64,
    feat_extract_norm="layer",
    mask_time_length=4,
)
SECONDS = 8.5  # heard of each clip
BATCH = 8


def clips(count: int) -> Any:
    """So many of the sample's training clips."""
    import numpy as np

    from training.recipes.audio_intent.data import load_once

    return load_once("", "sample").train[np.arange(count)]


def network(arch: str, method: str = "scratch") -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig, AutoModelForAudioClassification, Wav2Vec2FeatureExtractor

    from training.recipes.audio_intent.model import SoundPreprocessor
    from training.samples.wordings import INTENTS

    torch.manual_seed(0)
    base = {} if arch == "base" else SMALL
    config = AutoConfig.for_model(
        **{"model_type": "wav2vec2", **base},
        num_labels=len(INTENTS),
        use_weighted_layer_sum=method == "frozen",
        mask_time_prob=0.05,
    )
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    model = AutoModelForAudioClassification.from_config(config)
    return model, SoundPreprocessor(extractor, "layer")


# -- training --------------------------------------------------------------------------------------
def ours(
    arch: str, part: Any, epochs: int, method: str = "full", runs: Path | None = None
) -> list[float]:
    """Seconds of each epoch of our recipe, what is prepared before it counted with the first."""
    import numpy as np

    from training.learn import backbone, classification, finetune
    from training.recipes.audio_intent import model as audio_model
    from training.recipes.audio_intent import score as audio_score
    from training.recipes.audio_intent import train as audio_train
    from training.recipes.audio_intent.config import Config
    from training.recipes.audio_intent.data import Heard
    from training.runs.run import Run

    frozen = method == "frozen"
    config = Config(method=method, epochs=epochs, batch_size=BATCH, augmentation="light")
    model, preprocessor = network(arch, method)
    rate = backbone.choose_learning_rate(config, method, model)
    run = Run.create(runs or Path(tempfile.mkdtemp()), "audio_intent", {})
    accelerator = start_accelerator(not frozen and finetune.wants_half(config.bf16))
    heard = Heard(part, SECONDS)
    nothing = part[np.zeros(0, int)]
    timer = EpochTimer(run)
    if frozen:
        given = audio_score.compute_features(model, preprocessor, heard, run)
        learner = audio_model.find_head(model).to(accelerator.device)
        heads = [learner]
        lesson = classification.make_head_lesson(learner, given, part, [given[:0]], nothing, config)
    else:
        model.freeze_feature_encoder()
        backbone.speed_up(model, accelerator)
        learner = model.to(accelerator.device)
        heads = backbone.list_heads(model)
        lesson = audio_train.make_lesson(learner, preprocessor, heard, nothing, config, run)
    teach(learner, heads, lesson, config, rate, run, accelerator)
    return timer.seconds


def tutorial(arch: str, part: Any) -> float:
    """Seconds of one epoch of the well-known recipe, hearing as much of each clip as ours does:
    Trainer, clips in any order, each padded to the longest of its batch, in float32."""
    import numpy as np
    import torch
    from transformers import Trainer, TrainingArguments

    model, preprocessor = network(arch)
    model.freeze_feature_encoder()
    most = round(SECONDS * 16_000)
    sounds = [part.read_one(i)[:most] for i in range(len(part))]

    class Rows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(part)

        def __getitem__(self, i: int) -> dict[str, Any]:
            return {"sound": sounds[i], "label": int(part.labels[i])}

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        waves = [row["sound"] for row in rows]
        found = preprocessor.extractor(
            waves, sampling_rate=16_000, return_tensors="pt", padding=True
        )
        return {**found, "labels": torch.from_numpy(np.array([row["label"] for row in rows]))}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, **one_epoch(BATCH))
        trainer = Trainer(model, arguments, train_dataset=Rows(), data_collator=collate)
        return measure(trainer.train)


def full(chosen: argparse.Namespace) -> None:
    part = clips(chosen.clips)
    tutorial(chosen.arch, clips(2 * BATCH))  # warm-up
    base = tutorial(chosen.arch, part)
    first, *later = ours(chosen.arch, part, 3)
    took = median(later)
    print(
        f"full, {chosen.arch}, batch {BATCH}, n {len(part)}: tutorial's Trainer "
        f"{len(part) / base:.1f} clips/s; ours {len(part) / took:.1f} ({base / took:.2f} times; "
        f"goal: at least 1.5), in the first epoch {base / first:.2f} times"
    )


def frozen(chosen: argparse.Namespace) -> None:
    part = clips(chosen.clips)
    whole = median(ours(chosen.arch, part, 2)[1:])
    with tempfile.TemporaryDirectory() as folder:
        first, *later = ours(chosen.arch, part, 6, "frozen", Path(folder))
    took = median(later)
    print(
        f"frozen, {chosen.arch}, n {len(part)}: full {whole:.1f} s an epoch; frozen {first:.1f} s "
        f"the first ({whole / first:.1f} times faster), {took * 1000:.0f} ms later ones "
        f"({whole / took:.0f} times; goal: at least 100)"
    )


# -- serving ---------------------------------------------------------------------------------------
def predict(chosen: argparse.Namespace) -> None:
    from transformers import pipeline

    from demos import audio_intent as tab
    from demos.serving.model_slot import ModelSlot
    from training.media.sounds import Sound

    slot = ModelSlot("audio", tab.AudioPredictor, Path(tempfile.mkdtemp()))
    part = clips(40)
    sounds = [Sound(part.read_one(i), 16_000, 16_000, 1, []) for i in range(len(part))]
    # half precision, in which it is stored, is slow on a CPU
    path = slot.find("embedded-audio").path
    base = pipeline("audio-classification", path, device="cpu", dtype="float32")
    theirs = []
    mine = []
    for sound in sounds:
        given = {"array": sound.samples, "sampling_rate": 16_000}
        theirs.append(measure(lambda g=given: base(g, top_k=5)))
        mine.append(measure(lambda s=sound: tab.classify(slot, s)))
    ours_ms = 1000 * median(mine[5:])
    base_ms = 1000 * median(theirs[5:])
    print(
        f"prediction, embedded checkpoint, clips of {median([s.seconds for s in sounds]):.1f} s: "
        f"ours {ours_ms:.1f} ms, transformers.pipeline on an array {base_ms:.1f} ms = "
        f"{ours_ms / base_ms:.2f} (n {len(mine) - 5}, medians; goal: no slower)"
    )


def decode(chosen: argparse.Namespace) -> None:
    """Decoding and resampling apart, from a person's file to 16,000 samples a second."""
    import numpy as np
    import soundfile
    import soxr

    from training.media.sounds import from_bytes

    def repeat(act: Any) -> float:
        return 1000 * median([measure(act) for _ in range(7)])

    part = clips(8)
    sound = np.concatenate([part.read_one(i) for i in range(8)])
    for kind, subtype, rate in (
        ("WAV", "PCM_16", 44_100),
        ("FLAC", "PCM_16", 48_000),
        ("OGG", "VORBIS", 44_100),
        ("MP3", "MPEG_LAYER_III", 44_100),
    ):
        high = soxr.resample(sound, 16_000, rate)
        buffer = io.BytesIO()
        soundfile.write(buffer, high, rate, format=kind, subtype=subtype)
        content = buffer.getvalue()
        whole = repeat(lambda c=content: from_bytes(c))
        plain = repeat(lambda c=content: soundfile.read(io.BytesIO(c), dtype="float32"))
        again = repeat(lambda h=high, r=rate: soxr.resample(h, r, 16_000))
        print(
            f"{kind} of {len(sound) / 16_000:.0f} s at {rate:,}: loaded in {whole:.0f} ms; "
            f"soundfile alone {plain:.0f} ms, soxr alone {again:.0f} ms: "
            f"{whole / (plain + again):.2f} times their sum (n 7)"
        )


def judge(chosen: argparse.Namespace) -> None:
    """The embedded checkpoint on hand-written sentences that another synthesiser speaks."""
    import numpy as np

    from training.judge.classification import find_confused, score_answers
    from training.recipes.audio_intent.data import Heard, make_clips
    from training.recipes.audio_intent.model import open_network
    from training.recipes.audio_intent.score import predict
    from training.runs import checkpoint
    from training.samples.speech import clips as speak
    from training.samples.wordings import INTENTS

    calls = list(speak(196, "judge", "flite"))
    part = make_clips(calls)
    model, preprocessor = open_network(checkpoint.embedded("audio").path)
    found = predict(model, Heard(part, model.config.seconds), preprocessor)
    score = score_answers(found, part.labels, INTENTS)
    low, high = score.interval
    print(
        f"flite, {score.n} hand-written sentences: {score.value:.2%} right, 95% interval "
        f"{low:.1%} to {high:.1%}"
    )
    right = found.argmax(1) == part.labels
    for voice in sorted({call.voice for call in calls}):
        own = np.array([call.voice == voice for call in calls])
        print(f"  {voice}: {right[own].mean():.0%} of {own.sum()}")
    for pair in find_confused(score.more["confusion"], INTENTS, 6):
        print(f"  {pair['truth']} taken for {pair['said']}: {pair['count']} of {pair['of']}")


PARTS = {"full": full, "frozen": frozen, "predict": predict, "decode": decode, "judge": judge}
if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", default=["full", "frozen", "predict", "decode"], help=", ".join(PARTS)
    )
    parser.add_argument("--arch", choices=("small", "base"), default="small")
    parser.add_argument("--clips", type=int, default=112)
    options = parser.parse_args()
    print_machine()
    for name in options.parts:
        PARTS[name](options)
