"""What visitors send: its size, the folder in which it lies, and a disk that is full."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import gradio  # noqa: F401  it makes a folder when it is imported, before a test moves it
import httpx
import pytest
from conftest import wait_for
from filelock import FileLock
from serving import drawing, encoded, is_a_sentence, served_app

from demos.serving import uploads
from demos.serving.uploads import MB, NoRoom, Uploads
from training.runs.job import ROOT

BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}


def part(name: str, size: int) -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return head.encode() + os.urandom(16) + b"x" * (size - 16) + b"\r\n"


def loose(folder: Path) -> list[Path]:
    """Halves of files, and pictures of a folder that is being filled."""
    return [path for path in folder.glob("*") if path.is_file()]


# -- the folder ------------------------------------------------------------------------------------
@pytest.fixture
def base(tmp_path, monkeypatch):
    """A folder that other programs use too."""
    monkeypatch.setenv(uploads.VARIABLE, str(tmp_path))
    (tmp_path / "theirs.txt").write_text("theirs")
    (tmp_path / "transfer-lab-notes").mkdir()
    (tmp_path / "transfer-lab-notes" / "mine.txt").write_text("a person's")
    return tmp_path


def test_an_app_has_a_folder_of_its_own_and_the_next_one_too(base, monkeypatch):
    first = uploads.claim_folder()
    assert first.is_relative_to(base) and not list(first.iterdir())
    assert os.environ[uploads.VARIABLE] == str(first) and uploads.claim_folder() == first
    (first / "a.png").write_bytes(b"a")
    monkeypatch.setenv(uploads.VARIABLE, str(base))
    second = uploads.claim_folder()
    assert second != first and (first / "a.png").exists()  # whose app still runs
    if os.name == "posix":
        assert first.parent.stat().st_mode & 0o077 == 0
    uploads.remove_folders()
    assert not first.parent.exists() and not second.parent.exists()
    assert (base / "theirs.txt").exists() and (base / "transfer-lab-notes/mine.txt").exists()


def test_what_a_killed_app_left_is_removed_by_the_next_one(base):
    code = (
        "import os, signal; from demos.serving import uploads; f = uploads.claim_folder();"
        "(f / 'a.png').write_bytes(b'a'); print(f, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    left = Path(killed.stdout.strip())
    assert (left / "a.png").exists()
    (base / "transfer-lab-link").symlink_to(base / "transfer-lab-notes")
    uploads.claim_folder()
    assert not left.parent.exists() and (base / "transfer-lab-notes/mine.txt").exists()
    uploads.remove_folders()


def test_where_no_folder_can_be_made_it_is_said_at_the_start(base, runs, monkeypatch):
    import app

    monkeypatch.setenv(uploads.VARIABLE, str(base / "theirs.txt" / "uploads"))
    with pytest.raises(SystemExit, match=f"^error: no folder.*Set {uploads.VARIABLE}"):
        app.main(["--runs", str(runs)])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_app_that_ends_leaves_nothing(base, runs, number):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--runs", str(runs)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert app.stdout is not None
    wait_for(lambda: "Runs are kept" in app.stdout.readline())
    assert list(base.glob("transfer-lab-*/lock"))
    app.send_signal(number)
    app.wait(60)
    app.stdout.close()
    assert not list(base.glob("transfer-lab-*/lock"))


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a" / "b.png"
    uploads.write_whole(path, b"whole")
    assert path.read_bytes() == b"whole"

    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError):
        uploads.write_whole(tmp_path / "c" / "d.png", b"half")
    assert not list((tmp_path / "c").iterdir())


# -- its size --------------------------------------------------------------------------------------
def stored(folder: Path, name: str, size: int, age: float = 0) -> Path:
    path = folder / name / "file.bin"
    path.parent.mkdir()
    path.write_bytes(b"x" * size)
    when = time.time() - age
    os.utime(path, (when, when))
    return path


def test_the_oldest_uploads_make_room_and_the_pages_own_examples_stay(tmp_path):
    example = stored(tmp_path, "example", 100, age=1e6)
    kept = Uploads(tmp_path, most=1000)
    files = [stored(tmp_path, str(number), 300, age=1000 - number) for number in range(3)]
    kept.tidy()
    assert all(path.exists() for path in files)
    with kept.expect(400, upload=True):
        assert [path.exists() for path in files] == [False, True, True]
        assert not files[0].parent.exists()
    stored(tmp_path, "new", 400)
    kept.tidy()
    assert [path.exists() for path in files] == [False, True, True] and example.exists()
    with kept.expect(900, upload=True):
        assert not any(path.exists() for path in files)
    assert example.exists()


def test_many_small_files_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "FILES", 5)
    kept = Uploads(tmp_path)
    files = [stored(tmp_path, str(number), 1, age=100 - number) for number in range(9)]
    kept.tidy()
    assert [path.exists() for path in files] == [False] * 4 + [True] * 5


def test_more_than_fits_at_once_is_refused_and_what_was_refused_is_not_counted(tmp_path):
    kept = Uploads(tmp_path, most=1000)
    for _ in range(3):
        with kept.expect(700, upload=True), pytest.raises(NoRoom, match="try again"):
            with kept.expect(700, upload=True):
                raise AssertionError("there is no room for both")


def test_what_never_fits_costs_no_other_upload(tmp_path, monkeypatch):
    kept = Uploads(tmp_path, most=10_000)
    file = stored(tmp_path, "other", 500)
    with pytest.raises(NoRoom), kept.expect(20_000, upload=True):
        raise AssertionError("it is more than the folder may hold")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(NoRoom, match="disk is full"), kept.expect(5000, upload=True):
        raise AssertionError("it is more than the disk holds")
    assert file.exists()


def test_halves_are_removed_when_nothing_is_being_received(tmp_path):
    kept = Uploads(tmp_path)
    with kept.expect(10, upload=True):
        (tmp_path / "tmphalf").write_bytes(b"half")
        with kept.expect(10, upload=True):
            pass
        assert loose(tmp_path)  # it may be of the request that is still read
        with kept.expect(10, upload=False):
            pass
    assert not loose(tmp_path)


# -- over HTTP -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    with served_app(tmp_path_factory.mktemp("uploads") / "runs", training=False) as blocks:
        yield blocks


@pytest.fixture(scope="module")
def folder(blocks):
    return Path(blocks.server_app.uploaded_file_dir)


@pytest.fixture(scope="module")
def http(blocks):
    with httpx.Client(base_url=blocks.local_url, timeout=120) as http:
        yield http


def refused(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status and is_a_sentence(answer.json()["error"]), answer.text
    return answer.json()["error"]


LARGE = [
    ("gradio_api/upload", 105 * MB, "100 MB"),
    ("gradio_api/run/look", 40 * MB, "30 MB"),
    ("gradio_api/call/classify_digit", 40 * MB, "30 MB"),
    ("gradio_api/queue/join", 40 * MB, "30 MB"),
    ("gradio_api/component_server", 40 * MB, "30 MB"),
    ("gradio_api/stream/x", 40 * MB, "30 MB"),
    ("login", 40 * MB, "30 MB"),
    ("nowhere", 40 * MB, "30 MB"),
]


@pytest.mark.parametrize("path, size, most", LARGE)
def test_a_body_that_is_too_long_is_refused_before_it_is_read(blocks, path, size, most):
    """Nothing of it is sent, and the answer comes all the same."""
    port = int(blocks.local_url.strip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        head = f"POST /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n"
        wire.sendall(head.encode())
        answer = b"".join(iter(lambda: wire.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.1 413") and f"at most {most}" in answer


def test_where_data_sets_are_brought_as_much_as_one_may_hold_is_taken(tmp_path):
    with served_app(tmp_path / "runs") as blocks:
        port = int(blocks.local_url.strip("/").rpartition(":")[2])
        for size, refused_at_once in ((5 * 1024 * MB, True), (500 * MB, False)):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
                head = (
                    "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    f"Content-Type: {BOUNDARY['Content-Type']}\r\nContent-Length: {size}\r\n\r\n"
                )
                wire.sendall(head.encode())
                if refused_at_once:
                    answer = b"".join(iter(lambda w=wire: w.recv(65536), b"")).decode()
                    assert answer.startswith("HTTP/1.1 413") and "at most 4 GB" in answer
                else:
                    wire.sendall(part("a.bin", MB))
                    folder = Path(blocks.server_app.uploaded_file_dir)
                    wait_for(lambda at=folder: loose(at))  # it is being taken


@pytest.mark.parametrize("path, size, most", LARGE[:5])
@pytest.mark.parametrize("kind", ["application/json", BOUNDARY["Content-Type"]])
def test_a_body_of_untold_length_is_refused_where_it_is_too_much(
    http, folder, path, size, most, kind
):
    def body():
        yield b'{"data": ["' if "json" in kind else part("a.bin", MB)
        for _ in range(size // MB):
            yield b"x" * MB

    if path.endswith("upload") and "json" in kind:
        pytest.skip("Gradio refuses it before it reads")
    answer = http.post(path, content=body(), headers={"Content-Type": kind})
    assert most in refused(answer, 413)
    wait_for(lambda: not loose(folder))


def test_a_hundred_megabytes_are_the_limit_of_all_files_of_a_request(http, folder):
    files = [("files", (f"{number}.bin", bytes(40 * MB))) for number in range(3)]
    refused(http.post("gradio_api/upload", files=files), 413)
    answer = http.post("gradio_api/upload", files=files[:2])
    assert answer.status_code == 200 and all(Path(path).exists() for path in answer.json())
    wait_for(lambda: not loose(folder))


def test_a_picture_inside_json_is_kept_whole_under_its_content(http, folder):
    import base64

    uri = "data:image/png;base64," + base64.b64encode(encoded(drawing())).decode()
    before = set(folder.glob("*/*"))
    for more in ({}, {"meta": {"_type": "gradio.FileData"}}):
        body = {"data": [{"path": None, "url": uri, **more}, None]}
        answer = http.post("gradio_api/run/classify_digit", json=body)
        assert answer.status_code == 200, answer.text
    new = set(folder.glob("*/*")) - before
    assert [path.name for path in new] == ["file.png"]


def test_an_upload_that_is_cut_off_leaves_nothing(blocks, http, folder):
    port = int(blocks.local_url.strip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        head = (
            "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: {BOUNDARY['Content-Type']}\r\nContent-Length: {50 * MB}\r\n\r\n"
        )
        wire.sendall(head.encode() + part("a.bin", 5 * MB))
        wait_for(lambda: loose(folder))
    wait_for(lambda: not loose(folder))
    assert http.get("config").status_code == 200


def test_a_body_that_does_not_go_on_gives_its_room_back(blocks, folder, monkeypatch):
    monkeypatch.setattr(uploads, "SILENCE", 0.3)
    port = int(blocks.local_url.strip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        head = (
            "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: {BOUNDARY['Content-Type']}\r\nContent-Length: {50 * MB}\r\n\r\n"
        )
        wire.sendall(head.encode() + part("a.bin", MB))
        assert wire.recv(65536).startswith(b"HTTP/1.1 400")
        wait_for(lambda: not loose(folder))


def test_a_full_disk_is_said_and_nothing_half_is_left(http, folder, monkeypatch):
    files = [("files", ("a.png", encoded(drawing())))]
    with monkeypatch.context() as full:
        usage = shutil.disk_usage(folder)
        full.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
        assert "disk is full" in refused(http.post("gradio_api/upload", files=files), 507)
    with monkeypatch.context() as full:  # it fills up while it is written
        from gradio.route_utils import GradioUploadFile

        async def write(self, data):
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr(GradioUploadFile, "write", write)
        assert "disk is full" in refused(http.post("gradio_api/upload", files=files), 507)
    wait_for(lambda: not loose(folder))
    assert http.post("gradio_api/upload", files=files).status_code == 200


def test_a_full_disk_is_said_where_a_picture_inside_json_is_kept(http, folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    body = {"data": [{"path": None, "url": "data:image/png;base64,AAAA"}, None]}
    answer = http.post("gradio_api/run/classify_digit", json=body)
    assert "disk is full" in answer.json()["error"]
    assert not [path for path in folder.glob("*/.*")]


def test_a_file_that_went_with_the_oldest_is_asked_for_again(http):
    path = http.post("gradio_api/upload", files=[("files", ("b.png", encoded(drawing())))]).json()[
        0
    ]
    Path(path).unlink()
    body = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, None]}
    answer = http.post("gradio_api/run/classify_digit", json=body)
    assert "send it again" in answer.json()["error"]


def test_a_lock_is_not_taken_from_an_app_that_runs(base):
    folder = uploads.claim_folder()
    with pytest.raises(TimeoutError):
        FileLock(folder.parent / "lock", timeout=0).acquire()
    uploads.remove_folders()
