"""The card of what leaves this project: what a checkpoint's own card says, under the metadata by
which the Hub files it, and how it is used."""

import re
from pathlib import Path
from typing import Any

from training import recipe
from training.data.own.data_set import DataSet
from training.judge.records import Provenance, Report, ReportError, Score
from training.judge.report import read_report
from training.publish.licence import Ask, ask_nobody, find_licence
from training.publish.records import Usage
from training.recipe import Metric
from training.runs.checkpoint import Checkpoint
from training.runs.run import Run
from training.wording import counted, sentence

TAG = "transfer-lab"  # by which a repository is known as one that this project made
FRONT = re.compile(r"\A---\n.*?\n---\n+", re.S)
HUB_NAME = re.compile(r"(?<![\w/.-])[\w-][\w.-]*/[\w-][\w.-]*")
TASKS = {
    "pictures": "image-classification",
    "sounds": "audio-classification",
    "captions": "image-to-text",
}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


# -- a checkpoint's --------------------------------------------------------------------------------
def write_model_card(
    found: Checkpoint, runs: Path, usage: Usage | None, ask: Ask = ask_nobody
) -> str:
    """Markdown; `ask` tells the licences of models of the Hub."""
    from huggingface_hub import ModelCardData

    run = Run.find(runs, found.id)
    licence, bases = find_licence(found, runs, ask)
    provenance = Provenance.from_json(run.settings) if run else Provenance()
    data_sets = _list_data_sets(run, provenance)
    metadata: dict[str, Any] = {
        "library_name": "transformers",
        "license": licence,
        "base_model": bases or None,
        "datasets": data_sets or None,
        "pipeline_tag": usage.task if usage else None,
        "tags": [TAG, *([run.recipe.replace("_", "-")] if run else [])],
    }
    report = _read_report(run)
    if report is not None and report.after is not None and usage is not None:
        metadata["model_name"] = found.name
        metadata["eval_results"] = _list_results(report, report.after, usage.task, data_sets)
    front = ModelCardData(**{name: value for name, value in metadata.items() if value}).to_yaml()
    parts = [f"---\n{front}\n---\n\n{_read_body(found).rstrip()}\n"]
    if licence == "other":
        parts.append(_explain_licence(bases))
    if usage is not None:
        parts.append(_explain_use(usage))
    return "\n".join(parts)


def _read_body(found: Checkpoint) -> str:
    """Its own card, without the metadata."""
    card = found.path / "README.md"
    if not card.is_file():
        return f"# {found.name}\n\nPublished by Transfer Lab."
    return FRONT.sub("", card.read_text("utf-8"))


def _read_report(run: Run | None) -> Report | None:
    try:
        return read_report(run) if run else None
    except ReportError:  # a damaged one tells no scores
        return None


def _list_data_sets(run: Run | None, provenance: Provenance) -> list[str]:
    """Names on the Hub. A person's own data, and a sample, have none."""
    if run is None or run.config.get("source") != "hub":
        return []
    return HUB_NAME.findall(provenance.data)[:1] or HUB_NAME.findall(
        str(run.config.get("dataset", ""))
    )


def _list_results(report: Report, after: Score, task: str, data_sets: list[str]) -> list[Any]:
    """What the Hub calls a model-index: each figure, with its data and how many of them."""
    from huggingface_hub import EvalResult

    figures = [(report.metric, after.value)]
    figures += [
        (metric, value)
        for metric in report.beside
        if isinstance(value := after.more.get(metric.key), int | float)
    ]
    low, high = after.interval
    return [
        EvalResult(
            task_type=task,
            dataset_type=data_sets[0] if data_sets else "own",
            dataset_name=f"{report.data}: {report.held_out}",
            dataset_args={"n": after.n, "folds": bool(after.more.get("folds"))},
            metric_type=_name_metric(metric),
            metric_name=metric.title,
            metric_value=round(value, 4),
            metric_args={"interval": [round(low, 4), round(high, 4)], "confidence": 0.95}
            if metric is report.metric
            else None,
        )
        for metric, value in figures
    ]


def _name_metric(metric: Metric) -> str:
    """As the Hub calls those that it knows; others keep their key."""
    return {"top5": "accuracy"}.get(metric.key, metric.key)


def _explain_licence(bases: list[str]) -> str:
    links = ", ".join(f"[{name}](https://huggingface.co/{name})" for name in bases)
    return (
        f"## Licence\n\nThe weights began with {links}, whose licence holds for them too: see "
        "there. What Transfer Lab added is Apache-2.0.\n"
    )


def _explain_use(usage: Usage) -> str:
    return (
        f"## How to use it\n\n`use.py` beside this answers about a file:\n\n"
        f"```python\n{usage.script}```\n"
    )


# -- a data set's ----------------------------------------------------------------------------------
def write_data_card(found: DataSet) -> str:
    """Markdown, with which `load_dataset` finds the splits of an own data set."""
    from huggingface_hub import DatasetCardData

    items = found.list_items()
    shown = found.preview()
    kind = found.kind
    splits = [name for name in ("train", "validation", "test") if name in shown.splits]
    front = DatasetCardData(
        pretty_name=found.name,
        task_categories=[TASKS[kind]],
        size_categories=[_name_size(len(items))],
        tags=[TAG],
        configs=[
            {
                "config_name": "default",
                "drop_labels": kind == "captions",
                "data_files": [{"split": name, "path": f"data/{name}/**"} for name in splits],
            }
        ],
    ).to_yaml()
    folder = "audiofolder" if kind == "sounds" else "imagefolder"
    rows = [
        f"| {label} | " + " | ".join(f"{counts.get(name, 0):,}" for name in splits) + " |"
        for label, counts in shown.classes.items()
    ]
    lines = [
        f"---\n{front}\n---\n",
        f"# {found.name}",
        "",
        f"{counted(len(items), 'item')} ({kind}), collected with Transfer Lab; revision "
        f"{found.revision}. Files are as they were brought, laid out for `{folder}`.",
        "",
    ]
    if rows:
        lines += [
            f"| class | {' | '.join(splits)} |",
            f"| --- |{' --- |' * len(splits)}",
            *rows,
            "",
        ]
    corrections = [each for each in found.record.get("corrections", []) if not each["undone"]]
    if corrections:
        lines += [f"{counted(len(corrections), 'correction')} made by hand.", ""]
    lines += [f"- {sentence(problem)}" for problem in found.record.get("problems", [])[:20]]
    lines += ["", "Its licence is for whoever collected it to say.", ""]
    return "\n".join(lines)


def _name_size(count: int) -> str:
    return next((name for most, name in SIZES if count < most), "100K<n<1M")


def recipe_of(run: Run | None, slot: str) -> recipe.Recipe[Any, Any, Any]:
    """The recipe whose checkpoint it is. Raises SettingsError."""
    return recipe.load(run.recipe) if run else recipe.of_slot(slot)
