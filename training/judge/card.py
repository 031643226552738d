"""The model card that every published checkpoint carries: what it is, how it was made, what it
scores."""

import dataclasses
import platform
import shlex
import time
from pathlib import Path
from typing import Any

from training import device
from training.judge import scores
from training.recipe import Metrics, Recipe
from training.runs.run import Run


def command(made: Recipe, config: Any) -> str:
    """The command that makes this run again: what differs from the defaults. An own folder by its
    name only."""
    words = ["python", "-m", "training", made.name]
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if value != f.default and f.name not in ("name", "swap"):
            words += [
                "--" + f.name.replace("_", "-"),
                Path(value).name if f.metadata["local"] else str(value),
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


def _at(name: str, revision: str | None) -> str:
    """A checkpoint, and the revision of one of the Hub."""
    return f"{name} (revision {revision})" if revision else name


def _score(part: dict[str, Any] | None) -> str:
    if not part:
        return "none"
    text = scores.with_interval(part, 2)
    if "top5" in part:
        low, high = part["top5_interval"]
        text += f", top 5 {part['top5']:.2%} ({low:.2%} to {high:.2%})"
    return text


def card(made: Recipe, config: Any, run: Run, metrics: Metrics, seconds: float) -> str:
    """Markdown, with the front matter that the Hub reads."""
    settings = run.settings
    versions = run.settings.get("versions", {})
    # A checkpoint of the Hub is a base that the Hub can show; a run or an embedded one is not.
    base = settings.get("base", "")
    bases = [name for name in base.split(" + ") if "/" in name]
    lines = [
        "---",
        "library_name: transformers",
        "license: apache-2.0",
        *(["base_model:", *(f"- {name}" for name in bases)] if bases else []),
        "---",
        "",
        f"# {made.title}: {made.describe(config)}",
        "",
        f"Published by Transfer Lab's `{made.name}` recipe on {time.strftime('%Y-%m-%d')}.",
        "",
    ]
    if "after" in metrics:
        scale = scores.scale(metrics["after"])
        lines += [
            f"| {scale.title} on | before | after |",
            "| --- | --- | --- |",
            f"| {metrics['data']} | {_score(metrics.get('before'))} | {_score(metrics['after'])} |",
        ]
        if other := metrics.get("other"):
            lines.append(
                f"| {other['data']} | {_score(other['before'])} | {_score(other['after'])} |"
            )
        chance = f"Chance is {metrics['chance']:.1%}; the" if "chance" in metrics else "The"
        lines += [
            "",
            f"Measured on {metrics['held_out']}, read once, when training had ended. {chance} "
            f"intervals are 95% ({scale.about}). "
            f"{scores.confidence(metrics.get('before'), metrics['after'])}".rstrip(),
            "",
        ]
    else:
        lines += [
            f"It was stopped at step {metrics['step']:,} of {metrics['total']:,}, and not scored.",
            "",
        ]
    counted = ", ".join(f"{name} {count:,}" for name, count in settings.get("pictures", {}).items())
    parts = settings.get("parts") or {
        base: settings.get("base_revision")
    }  # of a captioner that was joined
    facts = {
        "Command": f"`{command(made, config)}`",
        "Starts from": " + ".join(_at(*part) for part in parts.items()),
        "Taught by": ", ".join(_at(*teacher) for teacher in settings.get("teachers", {}).items()),
        "Continues": settings.get("continues", ""),
        "Data's revision": settings.get("revision", ""),
        "Pictures": counted,
        "Seed": str(getattr(config, "seed", "")),
        "Time": f"{seconds / 60:.1f} minutes on {machine()}",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "Code": settings.get("commit", ""),
    }
    lines += [
        "| made with | |",
        "| --- | --- |",
        *(f"| {name} | {text} |" for name, text in facts.items() if text),
        "",
    ]
    return "\n".join(lines)
