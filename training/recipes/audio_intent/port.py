"""A checkpoint of the audio recipe as other programs run it."""

from pathlib import Path

from training.publish.held_out import Probabilities, choose_held_out
from training.publish.records import Portable
from training.recipes.audio_intent import data
from training.recipes.audio_intent.config import Config
from training.recipes.audio_intent.data import MOST, Heard
from training.recipes.audio_intent.model import FLOOR, open_network


def open_portable(path: Path, config: Config) -> Portable:
    """With held-out examples of the config's data. Raises SettingsError, CheckpointError."""
    found = data.load_for(config)
    model, preprocessor = open_network(path)
    seconds = float(getattr(model.config, "seconds", MOST))
    heard = Heard(choose_held_out(found), seconds)
    prepared = [preprocessor.prepare([heard[i]]) for i in range(len(heard))]
    inputs = tuple(prepared[0])
    extractor = preprocessor.extractor.to_dict()
    for derived in ("mel_filters", "window"):
        extractor.pop(derived, None)
    return Portable(
        Probabilities(model, inputs),
        inputs,
        [tuple(each[name] for name in inputs) for each in prepared],
        # Whisper and AST hear a window of one length.
        {} if preprocessor.fixed else dict.fromkeys(inputs, (1,)),
        {
            "sampling_rate": preprocessor.rate,
            "channels": 1,
            "seconds": seconds,
            "extractor": extractor,
            "floor": FLOOR,
            "how": "The input is what the extractor of transformers that is named here makes of a "
            "recording; of SeamlessM4TFeatureExtractor what lies further than floor (in natural "
            "logarithms) below the loudest part counts as that.",
        },
        found.about,
    )
