"""What a run is estimated to take before it is started, against what it then took.

    python tests/benchmarks/estimates.py            prints each pair, both in one go
    python tests/benchmarks/estimates.py food       of one recipe

The data are drawn and spoken by code; runs are made in a process of their own, as the page does.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from albums import album  # noqa: E402
from meals import colours  # noqa: E402
from test_digits_own import draw_letters  # noqa: E402
from voices import tones  # noqa: E402

from training.data.own import bring  # noqa: E402
from training.estimate import ask_aside  # noqa: E402

CASES = [
    ("food", "frozen", {}, 100),
    ("food", "full", {"epochs": 2}, 30),
    ("food", "lora", {"epochs": 1}, 30),
    ("audio_intent", "frozen", {}, 30),
    ("audio_intent", "full", {"epochs": 1}, 30),
    ("digits", "frozen", {}, 40),
    ("digits", "full", {"epochs": 5}, 40),
    ("captioning", "full", {"epochs": 1}, 120),
]


def bring_some(runs: Path, home: Path, recipe: str, each: int) -> str:
    """A data set of three classes, or of captions; its name."""
    name = f"{recipe} {each}".replace("_", " ")
    folder = home / name
    if recipe == "audio_intent":
        made = tones(folder, each=each)
    elif recipe == "captioning":
        made = album(folder, "captions.csv", count=each)
    elif recipe == "digits":
        made = draw_letters(folder, each)
    else:
        made = colours(folder, 3, each)
    bring.add(runs, name, [made])
    return name


def main() -> None:
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        home, runs = Path(folder), Path(folder) / "runs"
        runs.mkdir()
        for recipe, method, more, each in CASES:
            if wanted and recipe not in wanted:
                continue
            name = bring_some(runs, home, recipe, each)
            settings = {"source": "own", "dataset": name, "method": method, **more}
            told = ask_aside(recipe, settings, runs)
            flags = [f"--{key}={value}" for key, value in settings.items()]
            began = time.time()
            command = [sys.executable, "-m", "training", recipe, f"--runs={runs}", *flags]
            done = subprocess.run(
                [*command, "--swap=never"], capture_output=True, text=True, cwd=ROOT
            )
            took = time.time() - began
            ratio = told.seconds / took
            end = "" if done.returncode == 0 else f"  failed: {done.stderr[-200:]}"
            print(
                f"{recipe:13} {method:7} {told.examples:4} examples: told {told.seconds:5.1f} s, "
                f"took {took:5.1f} s, ratio {ratio:.2f}{end}",
                flush=True,
            )


if __name__ == "__main__":
    main()
