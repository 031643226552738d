"""Draw the example inputs of the Captioning tab into demos/examples/captioning/.

    python -m demos.examples.make_captioning

Nothing is downloaded and nothing is random: running it again writes the same pictures. They are
scenes of another seed than the sample's, three times as large; no photo of another's is kept here.
"""

from pathlib import Path

from training.samples.scenes import Page, plan

HERE = Path(__file__).parent / "captioning"
CHOSEN = {
    "bird_over_house": 5,
    "girl_on_bicycle": 24,
    "boat": 30,
    "dogs_in_snow": 47,
    "boy_and_dog": 49,
    "cars": 40,
}
SEED = 1


def main() -> None:
    """Writes a file for each scene."""
    HERE.mkdir(parents=True, exist_ok=True)
    for name, index in CHOSEN.items():
        page = Page(plan(SEED, index))
        page.render()
        page.paper.convert("RGB").quantize(128).save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
