"""What is wrong with a person's files: each said once, and many alike counted, with a few examples.

count_problems([Problem("a.txt", "is not a picture; left out", "files are not pictures")])
"""

from dataclasses import dataclass

from training.wording import counted

NAMED = 2  # of many alike


@dataclass(frozen=True)
class Problem:
    """Something that cannot be used, and why."""

    where: str  # a file, a folder, or a line of a list
    what: str  # of it; a whole sentence, with its full stop, is quoted where several are counted
    many: str  # what is said of several, after their number: "files are not pictures; left out"
    kind: str = ""  # tells those apart of which several would be said alike

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def count_problems(problems: list[Problem]) -> list[str]:
    """A line for each kind of problem, in the order in which they appeared. Of a file's name, bytes
    that are no text are marked: they could not be printed."""
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kinds.setdefault((problem.many, problem.kind), []).append(problem)
    return [_tell(alike).encode("utf-8", "replace").decode() for alike in kinds.values()]


def _tell(alike: list[Problem]) -> str:
    first = alike[0]
    if len(alike) == 1:
        return str(first)
    text = f"{len(alike):,} {first.many}: {name_some([problem.where for problem in alike])}"
    return f"{text}. {first.what}" if first.what.endswith(".") else text


def name_some(names: list[str]) -> str:
    """`a.txt`, `a.txt and b.txt`, or `a.txt, b.txt and 18 more`."""
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED:,} more"
    return " and ".join(names)


def left_out(name: str, count: int, least: int) -> Problem:
    """Of a class with too few examples."""
    have = counted(count, "usable file")
    return Problem(
        name,
        f"{have}, at least {least} are needed; left out",
        f"classes have fewer than {least} usable files each; left out",
    )


def explain(problems: list[Problem], notes: list[str]) -> str:
    """Why nothing could be used, in a few sentences: how it was read, and the first problems."""
    told = count_problems(problems)[:3]
    return " ".join([*notes, *(line if line.endswith(".") else f"{line}." for line in told)])
