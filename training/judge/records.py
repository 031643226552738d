"""What is known of a run's result: its scores, its report, and where its checkpoint came from.

These are the typed forms of what `report/metrics.json` and `config.json` hold. Nothing here assumes
classes or labels: what a recipe wants to show beside its scores it says in sections, each of a kind
that the page, the terminal and the card know how to draw.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias, TypeVar, cast, get_type_hints

from training.recipe import Metric
from training.runs.records import JsonValue, fits

Record = TypeVar("Record")


class ReportError(ValueError):
    """A stored report does not have the form of one; the text says what is wrong."""


def _checked(record: Record) -> Record:
    """The same record. Raises TypeError where a field holds something else than is declared, so
    that whoever draws it need not ask."""
    for name, kind in get_type_hints(type(record)).items():
        if not fits(getattr(record, name), kind, finite=False):
            raise TypeError(f"its {name} is of another kind")
    return record


# -- scores ----------------------------------------------------------------------------------------
ACCURACY = Metric("accuracy", "Accuracy")
BALANCED = Metric("balanced_accuracy", "Balanced accuracy")  # the mean of the classes' recalls
CIDER = Metric("cider_d", "CIDEr-D", share=False, interval="bootstrap")
ZERO_SHOT = "zero-shot"  # by class names alone, with no example of any
OLD_METRICS = (ACCURACY, CIDER)  # of reports that do not say what they were judged by


@dataclass(frozen=True)
class Score:
    """What a checkpoint scores on some examples. `more`: further figures, which a recipe names."""

    metric: Metric
    value: float
    interval: tuple[float, float]  # 95%
    n: int  # examples
    more: Mapping[str, JsonValue] = field(default_factory=dict)

    def text(self, places: int = 1) -> str:
        return self.metric.text(self.value, places)

    def beside(self, metric: Metric, places: int = 1) -> str | None:
        """Another figure than its own, where it has it."""
        found = self.more.get(metric.key)
        return metric.text(found, places) if isinstance(found, int | float) else None

    def with_interval(self, places: int = 1) -> str:
        low, high = (self.metric.text(end, places) for end in self.interval)
        return f"{self.text(places)} ({low} to {high}, {self.count})"

    @property
    def count(self) -> str:
        """How many examples it was measured on, and whether in folds."""
        return "cross-validated, " * bool(self.more.get("folds")) + f"n = {self.n:,}"

    def to_json(self) -> dict[str, JsonValue]:
        own = {self.metric.key: self.value, "interval": list(self.interval), "n": self.n}
        return {**own, **self.more}

    @classmethod
    def from_json(cls, stored: JsonValue, metric: Metric) -> "Score":
        """Raises ReportError."""
        found: Any = stored  # if it is something else than a score, one of these lines fails
        try:
            low, high = found.get("interval", (0.0, 1.0))
            own = (metric.key, "interval", "n")
            return cls(
                metric,
                float(found[metric.key]),
                (float(low), float(high)),
                int(found.get("n", 0)),
                {name: value for name, value in found.items() if name not in own},
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ReportError(f"a score lacks its {metric.key} or its interval") from error


@dataclass(frozen=True)
class Comparison:
    """Before and after on some other examples, such as those of an earlier data set."""

    data: str
    before: Score
    after: Score


@dataclass(frozen=True)
class Base:
    """What a score has to beat to be worth anything: that of a simple rule."""

    value: float
    rule: str  # 'always "ramen"'


@dataclass(frozen=True)
class Gate:
    """What answered in the slot when the run ended, on the same examples."""

    id: str
    comparable: bool  # whether its answers mean the same
    score: float | None  # None where it could not be scored
    # 95%, of the mean difference example by example, the new one less this one; None where nobody
    # said how an example is judged by itself.
    difference: tuple[float, float] | None = None

    def judge(self, new: Score) -> str:
        """Whether the new one is `better`, a `tie`, the `same` or `worse`; empty where this one was
        not scored. Example by example; reports of earlier versions know the two scores alone."""
        if self.score is None:
            return ""
        low, high = self.difference or (new.value - self.score, new.value - self.score)
        if low <= 0 < high:
            return "tie"
        if low == high == 0:
            return "same"
        return "better" if low > 0 else "worse"


# -- sections --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Table:
    """Rows under a heading, each as long as the header. A number in a column of `shares` is a share
    of 1, drawn as a bar; None is drawn as a dash."""

    title: str
    header: list[str]
    rows: list[list[str | float | None]]
    shares: list[int] = field(default_factory=list)
    folded_after: int = 0  # rows that are shown at once; 0: all


@dataclass(frozen=True)
class Item:
    """A picture or a sound of a report, by its file's name. In `text`, **words** are bold."""

    file: str
    alt: str
    text: str
    more_title: str = ""
    more: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Gallery:
    title: str
    items: list[Item]
    empty: str = ""  # what is said where there are none


@dataclass(frozen=True)
class Matrix:
    """A picture of a matrix, such as a confusion matrix, and what is most to be seen in it. In
    `notes`, **words** are bold."""

    title: str
    file: str
    alt: str
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Text:
    """Sentences in a list."""

    title: str
    lines: list[str]


@dataclass(frozen=True)
class Curve:
    """Points, each (x, y), joined by a line; x is drawn by its logarithm. `mark`: an x that is
    marked."""

    title: str
    x_title: str
    y_title: str
    points: list[list[float]]
    mark: float | None = None
    note: str = ""


Section: TypeAlias = Table | Gallery | Matrix | Text | Curve
KINDS: dict[str, type[Section]] = {
    "table": Table,
    "gallery": Gallery,
    "matrix": Matrix,
    "text": Text,
    "curve": Curve,
}


def section_to_json(section: Section) -> dict[str, JsonValue]:
    kind = next(name for name, made in KINDS.items() if isinstance(section, made))
    return {"kind": kind, **asdict(section)}


def section_from_json(stored: JsonValue) -> Section:
    """Raises ReportError."""
    try:
        fields: dict[str, Any] = dict(cast(Any, stored))  # fails where it is something else
        kind = KINDS[fields.pop("kind")]
        if kind is Gallery:
            fields["items"] = [_checked(Item(**item)) for item in fields["items"]]
        section = _checked(kind(**fields))
        if isinstance(section, Table):
            if any(len(row) != len(section.header) for row in section.rows):
                raise ValueError("a row is longer or shorter than the header")
        if isinstance(section, Curve):
            if any(len(point) != 2 or point[0] <= 0 for point in section.points):
                raise ValueError("a point of its curve cannot be drawn")
        return section
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"a section of the report cannot be read ({error})") from error


# -- the report ------------------------------------------------------------------------------------
@dataclass
class Report:
    """The result of a run, or of an exam of any checkpoint.

    `after` is None where a run was stopped before its test examples were read. `notes` are
    sentences that belong beside the scores, in the terminal and the card too: "Calibration error
    1.4% (2.0% before)." `problems` are listed by the page itself, in no section. `facts` are
    further keys of metrics.json, which programs read through the API.
    """

    metric: Metric
    data: str = ""  # in a few words: "digits (hub)"
    held_out: str = ""  # "the 10,000 test pictures of ylecun/mnist"
    before: Score | None = None
    after: Score | None = None
    other: Comparison | None = None
    active: Gate | None = None
    chance: float | None = None
    sections: list[Section] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # of the data
    facts: dict[str, JsonValue] = field(default_factory=dict)
    step: int = 0
    total: int = 0
    stopped: bool = False
    held_out_score: float | None = None
    notes: list[str] = field(default_factory=list)
    base: Base | None = None
    beside: list[Metric] = field(default_factory=list)  # of the scores' further figures
    answered: str = ""  # how the start did before, where that needs a word: ZERO_SHOT

    @property
    def before_title(self) -> str:
        return f"before ({self.answered})" if self.answered else "before"

    def name_base(self, link: str = " ", places: int = 1) -> str:
        """What the score has to beat, in words: the base, or else chance. Empty without both.
        `link` stands before the figure."""
        if base := self.base:
            return f"base to beat{link}{self.metric.text(base.value, places)} ({base.rule})"
        if self.chance is None:
            return ""
        return f"chance{link}{self.metric.text(self.chance, places)}"

    def to_json(self) -> dict[str, JsonValue]:
        """As metrics.json holds it: `/run_status` promises its keys to programs."""
        found: dict[str, JsonValue] = dict(self.facts)
        if self.after is not None:
            found |= {
                "data": self.data,
                "held_out": self.held_out,
                "before": self.before.to_json() if self.before else None,
                "after": self.after.to_json(),
                "problems": self.problems,
                "metric": asdict(self.metric),
                "sections": [section_to_json(section) for section in self.sections],
                "notes": self.notes,
                "beside": [asdict(metric) for metric in self.beside],
            }
        if self.answered:
            found["before_is"] = self.answered
        if self.base is not None:
            found["base"] = asdict(self.base)
        if self.chance is not None:
            found["chance"] = self.chance
        if self.active is not None:
            gate: dict[str, JsonValue] = {
                "id": self.active.id,
                "same_labels": self.active.comparable,
                "score": self.active.score,
            }
            if self.active.difference is not None:
                gate["difference"] = list(self.active.difference)
            found["active"] = gate
        if self.other is not None:
            found["other"] = {
                "data": self.other.data,
                "before": self.other.before.to_json(),
                "after": self.other.after.to_json(),
            }
        progress = {"step": self.step, "total": self.total, "stopped": self.stopped}
        return found | progress | {"held_out_score": self.held_out_score}

    @classmethod
    def from_json(cls, stored: JsonValue) -> "Report":
        """Of a stored report, also of one that was written before there were sections (its sections
        are then empty: `judge.old_reports` makes them). Raises ReportError."""
        if not isinstance(stored, dict):
            raise ReportError("it is no table of figures")
        found: dict[str, Any] = stored  # each line below asks for the type that it needs
        metric = _metric(found)

        def score(part: JsonValue) -> Score | None:
            return Score.from_json(part, metric) if part else None

        try:
            report = cls(
                metric,
                str(found.get("data", "")),
                str(found.get("held_out", "")),
                score(found.get("before")),
                score(found.get("after")),
                chance=_number(found.get("chance")),
                sections=[section_from_json(each) for each in found.get("sections", [])],
                problems=[str(problem) for problem in found.get("problems") or []],
                step=int(found.get("step", 0)),
                total=int(found.get("total", 0)),
                stopped=bool(found.get("stopped", False)),
                held_out_score=_number(found.get("held_out_score")),
                notes=[str(note) for note in found.get("notes", [])],
                beside=[_checked(Metric(**each)) for each in found.get("beside", [])],
                answered=str(found.get("before_is", "")),
            )
            if base := found.get("base"):
                report.base = _checked(Base(**base))
            if gate := found.get("active"):
                report.active = Gate(
                    str(gate["id"]),
                    bool(gate["same_labels"]),
                    _number(gate["score"]),
                    _interval(gate.get("difference")),
                )
            if other := found.get("other"):
                before = Score.from_json(other["before"], metric)
                after = Score.from_json(other["after"], metric)
                report.other = Comparison(str(other["data"]), before, after)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ReportError(f"it does not have the form of a report ({error})") from error
        known = report.to_json().keys()
        report.facts = {name: value for name, value in found.items() if name not in known}
        return report


def _metric(stored: dict[str, Any]) -> Metric:
    if "metric" in stored:
        try:
            return _checked(Metric(**stored["metric"]))
        except TypeError as error:
            raise ReportError("it does not say what it was judged by") from error
    after = stored.get("after")
    if not isinstance(after, dict):
        return ACCURACY
    return next((metric for metric in OLD_METRICS if metric.key in after), ACCURACY)


def _number(stored: Any) -> float | None:
    return None if stored is None else float(stored)


def _interval(stored: Any) -> tuple[float, float] | None:
    if stored is None:
        return None
    low, high = stored
    return float(low), float(high)


# -- where a checkpoint came from ------------------------------------------------------------------
@dataclass(frozen=True)
class Provenance:
    """What a run resolved when it started, and what it was made with: the model card tells it."""

    base: str = ""  # what it starts from: a checkpoint's id, a name on the Hub, or an architecture
    base_revision: str = ""
    data: str = ""  # what its test examples are
    revision: str = ""  # of the data
    learning_rate: float | None = None
    method: str = ""
    things: str = ""  # what its examples are: "pictures"
    counts: Mapping[str, int] = field(default_factory=dict)  # {"train": 120, "held out": 10, ...}
    parts: Mapping[str, str] = field(
        default_factory=dict
    )  # that it was joined of: name -> revision
    teachers: Mapping[str, str] = field(default_factory=dict)  # name -> revision
    needs: str = ""  # a library that must be there beside transformers to load what is published
    continues: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""

    def to_json(self) -> dict[str, JsonValue]:
        """The keys that a run adds to its config.json once it has resolved them."""
        own: dict[str, JsonValue] = {
            "base": self.base,
            "base_revision": self.base_revision,
            "data": self.data,
            "revision": self.revision,
            "learning_rate": self.learning_rate,
            "method": self.method,
            "things": self.things,
            self.things: dict(self.counts),
            "parts": dict(self.parts),
            "teachers": dict(self.teachers),
            "needs": self.needs,
        }
        return {name: value for name, value in own.items() if name and value not in (None, "", {})}

    @classmethod
    def from_json(cls, settings: Mapping[str, object]) -> "Provenance":
        """Of a run's config.json, whichever version wrote it."""
        things = str(settings.get("things") or "")
        if not things:  # before it was said, pictures and clips were all that there was
            things = next((name for name in ("pictures", "clips") if name in settings), "")

        def table(name: str) -> dict[str, Any]:
            found = settings.get(name)
            return found if isinstance(found, dict) else {}

        rate = settings.get("learning_rate")
        return cls(
            base=str(settings.get("base") or ""),
            base_revision=str(settings.get("base_revision") or ""),
            data=str(settings.get("data") or ""),
            revision=str(settings.get("revision") or ""),
            learning_rate=float(rate) if isinstance(rate, int | float) else None,
            method=str(settings.get("method") or ""),
            things=things,
            counts=table(things),
            parts=table("parts"),
            teachers=table("teachers"),
            needs=str(settings.get("needs") or ""),
            continues=str(settings.get("continues") or ""),
            versions=table("versions"),
            commit=str(settings.get("commit") or ""),
        )
