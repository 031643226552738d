"""What the tests of the captioning recipe share: tiny captioners to start from, own albums, runs in
this process."""

import csv
import json
from pathlib import Path

import numpy as np
import torch
from conftest import ended_well, left_by_a_run
from PIL import Image
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, VisionEncoderDecoderConfig
from transformers import VisionEncoderDecoderModel as Captioner

from training.media.picture_preprocessor import PicturePreprocessor
from training.recipes.captioning.model import CaptionPreprocessor, train_tokenizer
from training.runs.run import Run

SIZE = 32
TINY = {
    "vit": dict(
        model_type="vit",
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=8,
        image_size=SIZE,
    ),
    "swin": dict(
        model_type="swin",
        embed_dim=8,
        depths=[1, 1],
        num_heads=[2, 2],
        window_size=4,
        patch_size=4,
        image_size=SIZE,
    ),
}
WRITES = dict(
    model_type="gpt2",
    n_embd=32,
    n_layer=2,
    n_head=2,
    n_positions=64,
    is_decoder=True,
    add_cross_attention=True,
    bos_token_id=0,
    eos_token_id=0,
)
# Two optimizer steps; captions are short, so that beam search over the sample takes a second.
TWO_STEPS = dict(source="sample", epochs=1, batch_size=16, limit=32, words=8)


def sentences() -> list[str]:
    from training.samples.scenes import scenes

    return [text for texts in scenes()[1] for text in texts]


def captioner(
    kind: str, texts: list[str], seed: int = 0
) -> tuple[torch.nn.Module, CaptionPreprocessor]:
    torch.manual_seed(seed)
    words = train_tokenizer(texts)
    encoder = AutoModel.from_config(AutoConfig.for_model(**TINY[kind]))
    decoder = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**WRITES, vocab_size=len(words))
    )
    model = Captioner(
        config=VisionEncoderDecoderConfig.from_encoder_decoder_configs(
            encoder.config, decoder.config
        ),
        encoder=encoder,
        decoder=decoder,
    )
    for holder in (model.config, model.generation_config):
        holder.decoder_start_token_id = holder.eos_token_id = holder.pad_token_id = (
            words.eos_token_id
        )
    model.generation_config.max_length, model.generation_config.max_new_tokens = None, 8
    return model, CaptionPreprocessor(PicturePreprocessor(SIZE), words)


def published(runs: Path, kind: str, texts: list[str], seed: int = 0) -> Run:
    """A run that ended and left this captioner, to start from or to answer."""
    return left_by_a_run(runs, "captioning", "captions", *captioner(kind, texts, seed))


def train(runs: Path, **settings) -> Run:
    """A captioning run that ended well, executed in this process."""
    return ended_well(runs, "captioning", {**TWO_STEPS, **settings})


def weights(run: Run) -> dict[str, torch.Tensor]:
    return Captioner.from_pretrained(run.checkpoint).state_dict()


def album(path: Path, form: str, count: int = 15, each: int = 2) -> Path:
    """A folder of one's own: squares of a colour, no two alike, and the list of what they show."""
    path.mkdir(parents=True, exist_ok=True)
    rng, told = np.random.default_rng(0), []
    for i in range(count):
        colour = ("red", "green", "blue")[i % 3]
        pixels = rng.normal(60, 30, (40, 48, 3))
        pixels[8:30, 8 + i % 9 : 34, i % 3] += 150
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path / f"{i:02}.png")
        told += [(f"{i:02}.png", f"{('A', 'One')[j % 2]} {colour} square .") for j in range(each)]
    if form == "captions.csv":
        with open(path / form, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("file_name", "caption"), *told])
    elif form == "captions.txt":
        lines = [f"{name}#{i % each}\t{said}" for i, (name, said) in enumerate(told)]
        (path / form).write_text("\n".join(lines), "utf-8")
    else:
        grouped: dict[str, list[str]] = {}
        for name, said in told:
            grouped.setdefault(name, []).append(said)
        (path / form).write_text(
            "\n".join(
                json.dumps({"file_name": name, "captions": said}) for name, said in grouped.items()
            ),
            "utf-8",
        )
    return path
