"""How a checkpoint of the audio recipe is used without this project."""

from pathlib import Path

from transformers import SeamlessM4TFeatureExtractor

from training.publish import scripts
from training.publish.records import Usage
from training.recipes.audio_intent.model import FLOOR, SHORTEST, SoundPreprocessor
from training.runs import checkpoint

AUTO = "AutoModelForAudioClassification"
NEEDS = ("torch", "transformers", "soundfile", "soxr")
USUAL = 30.0  # seconds that a checkpoint hears which does not say
SPECTRA = [
    "class Extractor(SeamlessM4TFeatureExtractor):  # what is far quieter than the rest is silence",
    "    def _extract_fbank_features(self, waveform):",
    "        level = super()._extract_fbank_features(waveform)",
    f"        return np.maximum(level, level.max() + ({FLOOR!r}))",
    "",
    "",
]


def describe_use(path: Path) -> Usage:
    """Of a checkpoint's folder. Raises CheckpointError."""
    heard = SoundPreprocessor.from_checkpoint(path)
    seconds = float(str(checkpoint.config(path).get("seconds", USUAL)))
    spectra = isinstance(heard.extractor, SeamlessM4TFeatureExtractor)
    extractor = "Extractor" if spectra else "AutoFeatureExtractor"
    imports = [
        "import sys",
        "from pathlib import Path",
        "",
        "import numpy as np",
        "import soundfile",
        "import soxr",
        "import torch",
        f"from transformers import {', '.join(sorted([AUTO, _name_class(spectra)]))}",
        "",
        *([""] + SPECTRA[:-1] if spectra else []),
    ]
    script = scripts.write_script(
        "What is heard in a recording: python use.py call.wav",
        NEEDS,
        [
            f"It has learned from clips of up to {seconds:g} s. A recording half as long again is",
            "heard in windows of that length, and the surest of those that are not quiet answers.",
            "It names the nearest of its classes, also of a sound of something else.",
        ],
        imports,
        [
            "folder = Path(__file__).parent",
            f"model = {AUTO}.from_pretrained(folder, dtype=torch.float32).eval()",
            f"extract = {extractor}.from_pretrained(folder)",
            "sound, rate = soundfile.read(sys.argv[1], dtype='float32', always_2d=True)",
            f"sound = soxr.resample(sound.mean(1), rate, {heard.rate})",
            "sound -= sound.mean()",
            f"size = {round(seconds * heard.rate)}",
            "starts = [0]",
            "if len(sound) > 1.5 * size:",
            "    starts = [*range(0, len(sound) - size, size // 2), len(sound) - size]",
            "clips = [sound[at:at + size] if len(starts) > 1 else sound for at in starts]",
            "loud = [float(np.sqrt(np.mean(clip**2))) for clip in clips]",
            "clips = [clip for clip, level in zip(clips, loud) if level >= 0.05 * max(loud)]",
            *_write_asking(heard),
            *scripts.TELL_FIVE,
        ],
    )
    return Usage(script.replace("'float32'", '"float32"'), "audio-classification", NEEDS)


def _name_class(spectra: bool) -> str:
    return "SeamlessM4TFeatureExtractor" if spectra else "AutoFeatureExtractor"


def _write_asking(heard: SoundPreprocessor) -> list[str]:
    """From `clips`, of one length, to `scores`, (labels,)."""
    more = ""
    if isinstance(heard.extractor, SeamlessM4TFeatureExtractor):
        more = f", padding=True, pad_to_multiple_of={heard.extractor.stride}"
    elif not heard.fixed:
        length = f"max({SHORTEST}, len(clips[0]))"
        more = f', padding="max_length", max_length={length}, return_attention_mask=True'
    return [
        f'given = {{"sampling_rate": {heard.rate}, "return_tensors": "pt"}}',
        f"x = extract(clips, **given{more})",
        "with torch.inference_mode():",
        "    scores = model(**x).logits.softmax(1)",
        "scores = scores[scores.max(1).values.argmax()]",
    ]
