"""The model card that every published checkpoint carries: what it is, how it was made, what it
scores."""

import dataclasses
import platform
import shlex
import time
from pathlib import Path

from training import device
from training.judge.records import Provenance, Report, Score
from training.recipe import IsDataclass, Recipe, write_value
from training.wording import duration, sentence


def command(recipe: Recipe, config: IsDataclass) -> str:
    """The command that makes this run again: what differs from the defaults. An own folder by its
    name only."""
    words = ["python", "-m", "training", recipe.name]
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if value != f.default and f.name not in ("name", "swap"):
            words += [
                "--" + f.name.replace("_", "-"),
                Path(value).name if f.metadata["local"] else write_value(f, value),
            ]
    return shlex.join(words)


def machine() -> str:
    """The processor by name, so that a time means something."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    return device.describe() + (f" ({cpu})" if device.device() == "cpu" and cpu else "")


def _at(name: str, revision: str) -> str:
    """A checkpoint, and the revision of one of the Hub."""
    return f"{name} (revision {revision})" if revision else name


def _score(score: Score | None) -> str:
    return score.with_interval(2) if score else "none"


def write_card(
    recipe: Recipe, config: IsDataclass, provenance: Provenance, report: Report, seconds: float
) -> str:
    """Markdown, with the front matter that the Hub reads. `config` is an instance of
    `recipe.config`, `seconds` how long the run took."""
    # A checkpoint of the Hub is a base that the Hub can show; a run or an embedded one is not.
    bases = [name for name in provenance.base.split(" + ") if "/" in name]
    lines = [
        "---",
        "library_name: transformers",
        # Weights that began with somebody else's are under theirs, which is not asked here.
        *([] if bases else ["license: apache-2.0"]),
        *(["base_model:", *(f"- {name}" for name in bases)] if bases else []),
        "---",
        "",
        f"# {recipe.title}: {recipe.describe(config)}",
        "",
        f"Published by Transfer Lab's `{recipe.name}` recipe on {time.strftime('%Y-%m-%d')}.",
        "",
        *_result(report),
        "",
        *_loads(provenance),
        "| made with | |",
        "| --- | --- |",
    ]
    facts = {"Command": f"`{command(recipe, config)}`"} | _origins(provenance)
    facts["Seed"] = str(getattr(config, "seed", ""))
    facts["Training time"] = f"{duration(seconds)} on {machine()}"
    facts["Versions"] = ", ".join(f"{name} {at}" for name, at in provenance.versions.items())
    facts["Commit"] = provenance.commit
    lines += [f"| {name} | {text} |" for name, text in facts.items() if text]
    return "\n".join([*lines, ""])


def _loads(provenance: Provenance) -> list[str]:
    if not provenance.needs:
        return []
    return [
        f"It loads by `AutoModelForImageClassification.from_pretrained` where {provenance.needs} "
        f"is installed (`pip install {provenance.needs}`).",
        "",
    ]


def _result(report: Report) -> list[str]:
    """The scores as a table, and what they were measured on."""
    if report.after is None:
        return [f"Stopped at step {report.step:,} of {report.total:,}, before it was scored."]
    scores = (report.before, report.after)
    rows = [(report.data, *map(_score, scores))]
    for metric in report.beside:
        shown = [(score and score.beside(metric, 2)) or "none" for score in scores]
        rows.append((metric.title, *shown))
    if other := report.other:
        rows.append((other.data, _score(other.before), _score(other.after)))
    base = report.name_base(": ")
    intervals = f"{sentence(base)}; the intervals" if base else "The intervals"
    measured = (
        f"Measured on {report.held_out}, read once, when training had ended. {intervals} "
        f"are 95% ({report.metric.interval})."
    )
    return [
        f"| {report.metric.title} on | {report.before_title} | after |",
        "| --- | --- | --- |",
        *(f"| {name} | {before} | {after} |" for name, before, after in rows),
        "",
        " ".join([measured, *report.notes]),
    ]


def _origins(provenance: Provenance) -> dict[str, str]:
    """What the run began with and learned from."""
    parts = provenance.parts or {provenance.base: provenance.base_revision}
    counts = ", ".join(f"{part} {count:,}" for part, count in provenance.counts.items())
    return {
        "Starts from": " + ".join(_at(*part) for part in parts.items()),
        "Teachers": ", ".join(_at(*teacher) for teacher in provenance.teachers.items()),
        "Continues": provenance.continues,
        "Data revision": provenance.revision,
        provenance.things.capitalize(): counts,
    }
