"""How a checkpoint of the captioning recipe is used without this project."""

from pathlib import Path

from training.media.picture_preprocessor import PicturePreprocessor
from training.publish import scripts
from training.publish.records import Usage
from training.recipes.captioning.config import BEAMS, WORDS
from training.recipes.captioning.model import find_class, is_blip
from training.runs.records import read_json

NEEDS = ("torch", "torchvision", "transformers", "pillow")


def describe_use(path: Path) -> Usage:
    """Of a checkpoint's folder. Raises CheckpointError."""
    seen = PicturePreprocessor.from_checkpoint(path)
    kind = find_class(path).__name__
    script = scripts.write_script(
        "A caption for a picture: python use.py photo.jpg",
        NEEDS,
        ["The share before a caption is the mean probability of its tokens."],
        scripts.list_picture_imports(seen, f"AutoTokenizer, {kind}"),
        [
            "folder = Path(__file__).parent",
            f"model = {kind}.from_pretrained(folder, dtype=torch.float32).eval()",
            "tokenizer = AutoTokenizer.from_pretrained(folder)",
            *scripts.write_picture_lines(seen),
            "found = model.generate(",
            "    pixel_values=x,",
            f"    num_beams={BEAMS},",
            f"    num_return_sequences={BEAMS},",
            "    do_sample=False,",
            *_limit(path),
            "    return_dict_in_generate=True,",
            "    output_scores=True,",
            ")",
            "for share, ids in zip(found.sequences_scores.exp(), found.sequences):",
            '    text = " ".join(tokenizer.decode(ids[1:], skip_special_tokens=True).split())',
            "    print(f\"{share:.4f}\\t{text.rstrip(' .')}\")",
        ],
    )
    return Usage(script, "image-to-text", NEEDS)


def _limit(path: Path) -> list[str]:
    """How long a caption may be, where the checkpoint does not tell `generate`."""
    own = read_json(path / "generation_config.json", {})
    told = own if isinstance(own, dict) else {}
    if is_blip(path):  # whose decoder alone writes, and is not told
        return [f"    max_new_tokens={told.get('max_new_tokens') or WORDS},"]
    if told.get("max_new_tokens") or told.get("max_length"):
        return []
    return [f"    max_new_tokens={WORDS},"]
