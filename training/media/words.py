"""The words of a network that writes or reads: its tokenizer."""

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from training.runs.checkpoint import CheckpointError

# What a tokenizer is kept in. Without any, transformers makes one that knows no word, and says
# nothing.
FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")


def open_tokenizer(path: Path, name: str) -> PreTrainedTokenizerBase:
    """Of the checkpoint in a folder, which a person knows by this name. Raises CheckpointError."""
    try:
        if any((path / file).exists() for file in FILES):
            return AutoTokenizer.from_pretrained(path, local_files_only=True)
        damage = None
    except (OSError, ValueError, KeyError, TypeError) as error:
        damage = error
    raise CheckpointError(
        f"{name} does not hold its words (tokenizer.json is missing or damaged): choose another "
        "one."
    ) from damage
