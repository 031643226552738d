"""The first look at a person's file, before any decoder: is there one, can it be opened, how does
it begin."""

from pathlib import Path


def quoted_name(path: Path) -> str:
    """A file's name as sentences give it, without its folders and not endless."""
    return f"“{path.name if len(path.name) <= 80 else path.name[:79] + '…'}”"


def first_bytes(
    path: Path, what: str, one: str, refusal: type[ValueError], count: int = 1024
) -> bytes:
    """The start of a file that should be `what`, of which one is called `one`. Raises `refusal`
    where there is no ordinary file with something in it."""
    name = quoted_name(path)
    try:
        if path.is_dir():
            raise refusal(f"{name} is a folder, not a {what}. Choose one {one} in it.")
        if not path.is_file():
            raise refusal(f"There is no {one} {name} any more. Choose it again.")
        with path.open("rb") as file:
            head = file.read(count)
    except OSError as error:
        raise refusal(
            f"{name} could not be opened ({error.strerror or 'unknown reason'}). Choose another "
            f"{one}."
        ) from error
    if not head:
        raise refusal(f"{name} is empty (0 bytes). Choose another {one}.")
    return head
