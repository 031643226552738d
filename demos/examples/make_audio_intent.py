"""Speak the example inputs of the Audio intent tab into demos/examples/audio_intent/; needs
espeak-ng.

    python -m demos.examples.make_audio_intent

It is synthesised speech: voices and wordings that the embedded checkpoint was not trained on, and
no person's voice.
"""

from pathlib import Path

import soundfile

from training.samples.speech import RATE, clips
from training.samples.wordings import INTENTS

HERE = Path(__file__).parent / "audio_intent"
CHOSEN = ("pay_bill", "freeze", "balance", "abroad", "app_error")
LONGEST = 6.0  # seconds


def main() -> None:
    """Writes a file for each intent: the first clip of it that is short enough."""
    HERE.mkdir(parents=True, exist_ok=True)
    for clip in clips(30 * len(INTENTS), "held_out", "held_out", seed=7):
        path = HERE / f"{INTENTS[clip.label]}.mp3"
        if (
            INTENTS[clip.label] in CHOSEN
            and not path.exists()
            and len(clip.samples) < LONGEST * RATE
        ):
            soundfile.write(path, clip.samples, RATE)
            print(f"{path.name}: “{clip.text}” ({clip.voice})")


if __name__ == "__main__":
    main()
