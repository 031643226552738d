"""Prints how fast the captioning recipe and tab are, each as a ratio to a named baseline measured
in the same run.

    python tests/benchmarks/captioning.py    all parts, on random pictures and random weights
    python tests/benchmarks/captioning.py full frozen      some parts: full, frozen, caption
    python tests/benchmarks/captioning.py full --arch vit-base --batch 32 --pictures 1024

Nothing is asserted: machines are noisy, so quote the ratios, with their n. No network is used: the
networks are built from their configs, with random weights; the pictures are noise, the captions
words drawn with Flickr8k's lengths.
"""

import argparse
import dataclasses
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

ARCHS = {
    "small": None,  # the recipe's own small one, at 128 pixels, with 3,000 words
    "vit-base": 224,  # ViT-B/16 and GPT-2, of the published sizes
}


def sentences(count: int) -> list[str]:
    """Of 4 to 30 words, half of them under 12, as in Flickr8k; a few words are frequent and most
    are rare."""
    import numpy as np

    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnoprstuvw"))
    known = ["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(3000)]
    lengths = np.clip(np.rint(np.exp(rng.normal(2.4, 0.35, count))), 4, 30).astype(int)
    return [" ".join(known[min(i, 2999)] for i in rng.zipf(1.4, n)) for n in lengths]


def album(count: int) -> Any:
    import numpy as np
    from PIL import Image

    from training.data.pictures import Pictures

    rng = np.random.default_rng(0)
    small = [Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)) for _ in range(64)]
    shown = [each.resize((213, 160), Image.Resampling.BICUBIC) for each in small]
    said = sentences(5 * count)
    return Pictures(
        lambda i: shown[i % 64],
        np.arange(count),
        None,
        rng.random(count),
        [said[5 * i : 5 * i + 5] for i in range(count)],
    )


def captioner(arch: str, part: Any, config: Any) -> tuple[Any, Any]:
    """A network with random weights, and how it sees and spells."""
    import torch
    from transformers import (
        GPT2Config,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
        ViTConfig,
    )

    from training.learn.backbone import Start
    from training.media.picture_preprocessor import PicturePreprocessor
    from training.recipes.captioning import model as caption_model

    texts = [text for place in part.places for text in part.texts[place]]
    if arch == "small":
        small = dataclasses.replace(config, method="scratch", arch="small")
        return caption_model.build_network(small, Start("small"), texts, Path())[:2]
    torch.manual_seed(0)
    encoder = ViTConfig(image_size=ARCHS[arch])
    decoder = GPT2Config(is_decoder=True, add_cross_attention=True)
    model = VisionEncoderDecoderModel(
        VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    )
    tokenizer = caption_model.train_tokenizer(texts)
    caption_model.configure(model, tokenizer, config)
    return model, caption_model.CaptionPreprocessor(PicturePreprocessor(ARCHS[arch]), tokenizer)


# -- training --------------------------------------------------------------------------------------
def ours(arch: str, part: Any, config: Any, runs: Path | None = None) -> list[float]:
    """Seconds of each epoch of our recipe, what is prepared before it counted with the first."""
    import numpy as np

    from training.data.pictures import MARGIN, Store, measure_usual_side
    from training.learn import backbone, finetune
    from training.media.picture_preprocessor import PicturePreprocessor
    from training.recipes.captioning import score as caption_score
    from training.recipes.captioning import train as caption_train
    from training.recipes.captioning.model import Parts, Teller
    from training.runs.run import Run

    model, preprocessor = captioner(arch, part, config)
    rate = backbone.choose_learning_rate(config, config.method, model)
    run = Run.create(runs or Path(tempfile.mkdtemp()), "captioning", {})
    accelerator = start_accelerator(finetune.wants_half(config.bf16))
    backbone.speed_up(model, accelerator)
    nothing = part[np.zeros(0, int)]
    timer = EpochTimer(run)
    if config.method == "frozen":
        given = caption_score.compute_encodings(model, preprocessor, part, run)
        learns = Parts([m for name, m in model.named_children() if name != "encoder"])
        learner = Teller(learns, model)
    else:
        side = min(measure_usual_side(part), round(MARGIN * preprocessor.pictures.size))
        given = Store(part, PicturePreprocessor(side), run.beat)
        learner = Teller(model, model)
    learner.to(accelerator.device)
    lesson = caption_train.make_lesson(
        learner, model, preprocessor, part, given, nothing, None, config, run
    )
    heads = [m for name, m in model.named_children() if name not in ("encoder", "decoder")]
    teach(learner, heads, lesson, config, rate, run, accelerator)
    return timer.seconds


def usual(arch: str, part: Any, config: Any, count: int) -> float:
    """Pairs a second of Seq2SeqTrainer, each caption padded to the longest of all, pictures
    prepared one by one by the library's processor, in float32."""
    import torch
    from accelerate.state import AcceleratorState
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

    AcceleratorState._reset_state(reset_partial_state=True)
    model, preprocessor = captioner(arch, part, config)
    processor = preprocessor.pictures.processor()
    first = [part.texts[place][0] for place in part.places]
    rows = preprocessor.tokenize(first, config.words)
    longest = max(map(len, rows))

    class Rows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return count

        def __getitem__(self, i: int) -> dict[str, Any]:
            pixels = processor(images=part.read_one(i), return_tensors="pt")["pixel_values"][0]
            labels = torch.tensor(rows[i] + [-100] * (longest - len(rows[i])))
            return {"pixel_values": pixels, "labels": labels}

    with tempfile.TemporaryDirectory() as folder:
        arguments = Seq2SeqTrainingArguments(folder, **one_epoch(config.batch_size))
        return count / measure(Seq2SeqTrainer(model, arguments, train_dataset=Rows()).train)


def settings(chosen: argparse.Namespace, **more: Any) -> Any:
    from training.recipes.captioning.config import Config

    return Config(batch_size=chosen.batch, augmentation="light", **more)


def full(chosen: argparse.Namespace) -> None:
    part = album(chosen.pictures)
    usual(chosen.arch, part, settings(chosen), 2 * chosen.batch)  # warm-up
    n = len(part)
    base = usual(chosen.arch, part, settings(chosen), n)
    one = n / median(ours(chosen.arch, part, settings(chosen, epochs=3))[1:])
    all_five = 5 * n / median(ours(chosen.arch, part, settings(chosen, epochs=3, each=5))[1:])
    print(
        f"full, {chosen.arch}, batch {chosen.batch}, n {n}: Seq2SeqTrainer {base:.1f} pairs/s; "
        f"ours {one:.1f} ({one / base:.2f} times; goal: at least 1.5), with five captions a look "
        f"{all_five:.1f} ({all_five / base:.2f} times)",
        flush=True,
    )


def frozen(chosen: argparse.Namespace) -> None:
    part = album(chosen.pictures)
    whole = median(ours(chosen.arch, part, settings(chosen, epochs=3))[1:])
    config = settings(chosen, epochs=5, method="frozen")
    with tempfile.TemporaryDirectory() as folder:
        first, *later = ours(chosen.arch, part, config, Path(folder))
    print(
        f"frozen, {chosen.arch}, n {len(part)}: full {whole:.1f} s an epoch; frozen {first:.1f} s "
        f"the first, {median(later):.2f} s later ones ({whole / median(later):.1f} times faster; "
        "goal: at least 3)",
        flush=True,
    )


# -- serving ---------------------------------------------------------------------------------------
def caption(chosen: argparse.Namespace) -> None:
    """The handler on the embedded captioner, against `generate` on the same model: the picture is
    opened for both."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoTokenizer, VisionEncoderDecoderModel

    from demos import captioning
    from demos.serving.model_slot import ModelSlot
    from training.runs import checkpoint

    path = checkpoint.embedded("captions").path
    model = VisionEncoderDecoderModel.from_pretrained(path, dtype=torch.float32).eval()
    processor = AutoImageProcessor.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    pictures = [Image.open(p).convert("RGB") for p in sorted(captioning.EXAMPLES.glob("*.[pj]*g"))]

    def plain(picture: Any) -> str:
        pixels = processor(images=picture, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            ids = model.generate(pixels, num_beams=4)
        return tokenizer.decode(ids[0], skip_special_tokens=True)

    slot = ModelSlot("captions", captioning.CaptionPredictor, Path(tempfile.mkdtemp()))
    mine = []
    theirs = []
    for turn in range(chosen.turns):
        for picture in pictures:
            plain_took = 1000 * measure(lambda p=picture: plain(p))
            took = 1000 * measure(lambda p=picture: captioning.caption(slot, p))
            if turn:  # the first is to warm up
                theirs.append(plain_took)
                mine.append(took)
    print(
        f"caption, embedded, n {len(mine)}: generate {median(theirs):.0f} ms, ours "
        f"{median(mine):.0f} ms ({median(mine) / median(theirs):.2f} times; goal: at most 1.1)",
        flush=True,
    )


if __name__ == "__main__":
    parts = {"full": full, "frozen": frozen, "caption": caption}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=list(parts), help=", ".join(parts))
    parser.add_argument("--arch", choices=ARCHS, default="small")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--turns", type=int, default=6)
    given = parser.parse_args()
    print_machine()
    for name in given.parts:
        parts[name](given)
