"""The first look at a person's file, before any decoder: is there one, can it be opened, how does
it begin, and what does that make it."""

import re
from pathlib import Path

PICTURE = "picture"
SOUND = "sound"
OTHER = "other"
# What a file is that begins so: its group, its name in sentences, and how it begins. `.` is any
# byte; where two fit, the first is it.
BEGINNINGS = [
    (PICTURE, "a JPEG photo", rb"\xff\xd8\xff"),
    (PICTURE, "a PNG picture", rb"\x89PNG"),
    (PICTURE, "a GIF picture", rb"GIF8"),
    (PICTURE, "a WebP picture", rb"RIFF....WEBP"),
    (PICTURE, "a BMP picture", rb"BM....\0\0\0\0"),
    (PICTURE, "a TIFF picture", rb"II[\*\+]\0|MM\0[\*\+]"),
    (PICTURE, "a HEIC photo", rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)"),
    (PICTURE, "an AVIF picture", rb"....ftypavi[fs]"),
    (PICTURE, "a camera's raw photo", rb"....ftypcrx |FUJIFILMCCD-RAW"),
    (PICTURE, "a JPEG 2000 picture", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    (PICTURE, "a JPEG XL picture", rb"\xff\x0a|\0\0\0\x0cJXL "),
    (PICTURE, "a Photoshop file", rb"8BPS"),
    (PICTURE, "a GIMP file", rb"gimp xcf"),
    (PICTURE, "a PostScript drawing", rb"%!PS|\xc5\xd0\xd3\xc6"),
    (PICTURE, "a medical picture (DICOM)", rb".{128}DICM"),
    (SOUND, "a WAV file", rb"(RIFF|RIFX|RF64)....WAVE"),
    (SOUND, "an AVI film", rb"RIFF....AVI "),
    (SOUND, "a Wave64 file", rb"riff"),
    (SOUND, "an AIFF file", rb"FORM....AIF[FC]"),
    (SOUND, "an AU file", rb"\.snd"),
    (SOUND, "a CAF file", rb"caff"),
    (SOUND, "a FLAC file", rb"fLaC"),
    (SOUND, "an Ogg file", rb"OggS"),
    (SOUND, "an AMR recording", rb"#!AMR"),
    (SOUND, "an M4A or MP4 file", rb"....(ftyp|moov|mdat|wide|skip|free)"),
    (PICTURE, "an icon file", rb"\0\0\x01\0[^\0]\0"),
    (SOUND, "a WebM or Matroska file", rb"\x1aE\xdf\xa3"),
    (SOUND, "a WMA file", rb"0&\xb2u"),
    (SOUND, "a Flash film", rb"FLV\x01"),
    (SOUND, "an MPEG film", rb"\0\0\x01\xba|G.{187}G"),
    (SOUND, "an AAC file", rb"\xff[\xf0\xf1\xf8\xf9]|ADIF"),
    # The marks of a frame that MP3 and its forerunner have: text in UTF-16 begins alike.
    (SOUND, "an MP3 file", rb"ID3|\xff[\xe2\xe3\xf2-\xf5\xfa-\xfd]"),
    (OTHER, "a MIDI file of notes", rb"MThd"),
    (OTHER, "a PDF document", rb"%PDF"),
    (OTHER, "a ZIP archive or an office document", rb"PK\x03\x04|PK\x05\x06"),
    (OTHER, "an archive", rb"\x1f\x8b|Rar!|7z\xbc\xaf|BZh|\xfd7zXZ"),
    (OTHER, "a program", rb"MZ|\x7fELF"),
    (OTHER, "a pointer to a file that Git LFS keeps", rb"version https://git-lfs"),
]
LOOK = 1 << 20  # bytes that are looked at for what comes after a long comment


def name_kind(head: bytes) -> tuple[str, str]:
    """The group and the name of what begins so; both empty where nothing known does."""
    for group, name, pattern in BEGINNINGS:
        if re.match(pattern, head, re.S):
            return group, name
    # A text: a byte order mark and UTF-16's zeros apart.
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if text.startswith(b"<"):
        tag = re.search(rb"<(svg|!doctype html|html|head|body)\b", text)
        if tag is None:
            return OTHER, "a text"
        return (PICTURE, "an SVG drawing") if tag[1] == b"svg" else (OTHER, "a web page")
    is_text = head and not re.search(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]", head[:1024])
    return (OTHER, "a text") if is_text and _is_unicode(head[:1024]) else ("", "")


def _is_unicode(head: bytes) -> bool:
    """Whether it is UTF-8, though its last letter may be cut."""
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3
    return True


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
