"""Modules of this project that go with a checkpoint whose network is the project's own."""

import ast
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWN = "training"


def list_carried(modules: Iterable[str]) -> dict[str, Path | bytes]:
    """These modules and all of ours that they import, at their places in the package that they are
    imported from: a place, and the file that lies there or what it holds."""
    found: dict[str, Path | bytes] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _find_file(name)
        place = path.relative_to(ROOT).as_posix()
        if place in found:
            continue
        found[place] = path
        for folder in Path(place).parents:
            if folder.name:  # packages are empty files here, and there
                found[f"{folder.as_posix()}/__init__.py"] = b""
        waiting += _list_imported(path)
    return dict(sorted(found.items()))


def _find_file(name: str) -> Path:
    path = ROOT.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _list_imported(path: Path) -> list[str]:
    """The modules of ours that a file names in its imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{each.name}" for each in node.names}
    ours = (name for name in names if name.split(".")[0] == OWN)
    return sorted(name for name in ours if _find_file(name).is_file())
