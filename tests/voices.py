"""What the tests of the audio recipe share: tiny networks to start from, own sounds, and runs in
this process."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from conftest import ended_well, left_by_a_run
from transformers import (
    AutoConfig,
    AutoModelForAudioClassification,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from training.runs.run import Run

RATE = 16_000
WAVE = dict(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    conv_dim=(8,) * 7,
    num_conv_pos_embeddings=8,
    num_conv_pos_embedding_groups=2,
    classifier_proj_size=12,
    mask_time_length=4,
)
TINY = {
    "wav2vec2": dict(
        model_type="wav2vec2", feat_extract_norm="layer", do_stable_layer_norm=True, **WAVE
    ),
    "group": dict(model_type="wav2vec2", feat_extract_norm="group", **WAVE),
    "hubert": dict(model_type="hubert", feat_extract_norm="layer", **WAVE),
    "conformer": dict(
        model_type="wav2vec2-bert",
        feature_projection_input_dim=160,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        classifier_proj_size=12,
        conv_depthwise_kernel_size=3,
        mask_time_length=4,
    ),
    "whisper": dict(
        model_type="whisper",
        d_model=16,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=24,
        max_source_positions=150,
        num_mel_bins=80,
        classifier_proj_size=12,
    ),
}
# Two optimizer steps on the sample, which is 3 seconds of each clip here.
TWO_STEPS = dict(source="sample", epochs=1, batch_size=14, limit=28, seconds=3.0, swap="never")


def extractor(kind: str):
    if kind == "conformer":
        return SeamlessM4TFeatureExtractor()
    if kind == "whisper":
        return WhisperFeatureExtractor(chunk_length=3)
    return Wav2Vec2FeatureExtractor(return_attention_mask=kind != "group")


def network(kind: str, classes: list[str], seed: int = 0, **more) -> torch.nn.Module:
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        **{**TINY[kind], **more},
        id2label=dict(enumerate(classes)),
        label2id={c: i for i, c in enumerate(classes)},
    )
    return AutoModelForAudioClassification.from_config(config)


def published(runs: Path, kind: str, classes: list[str], seed: int = 0, **more) -> Run:
    """A run that ended and left this network, to start from or to answer."""
    model = network(kind, classes, seed, **more)
    model.config.seconds = 3.0
    return left_by_a_run(runs, "audio_intent", "audio", model, extractor(kind))


def train(runs: Path, **settings) -> Run:
    """An audio run that ended well, executed in this process."""
    return ended_well(runs, "audio_intent", {**TWO_STEPS, **settings})


def weights(run: Run) -> dict[str, torch.Tensor]:
    return AutoModelForAudioClassification.from_pretrained(run.checkpoint).state_dict()


def tone(hertz: float, seconds: float = 1.0, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """float32 (n,): a tone in a little noise."""
    at = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.02, len(at))
    return (0.4 * np.sin(2 * np.pi * hertz * at) + noise).astype(np.float32)


def tones(path: Path, classes: int = 3, each: int = 10) -> Path:
    """A folder of one's own: each class a pitch, clips of unequal length, no two alike."""
    for label in range(classes):
        sub = path / f"pitch{label}"
        sub.mkdir(parents=True, exist_ok=True)
        for i in range(each):
            sound = tone(200 * 4**label + 5 * i, 0.5 + 0.05 * (i % 10), seed=100 * label + i)
            # Bursts, since a steady tone is normalised away.
            sound *= (np.arange(len(sound)) % (RATE // 5) < RATE // 10) + 0.1
            soundfile.write(sub / f"{i:02}.wav", sound, RATE)
    return path
