"""A server of the few routes of the Hub that the project asks for, with models from a folder:
ROOT/owner/name/files. Tests start it in their own process; nothing leaves the machine.

    with serving_hub(root) as hub:
        hub.url, hub.asked
"""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

INFO = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
TREE = re.compile(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)")
TALK = re.compile(r"/api/models/([^/]+/[^/]+)/discussions")
CHUNK = 1 << 16


@dataclass
class Hub:
    """What the server holds and heard."""

    root: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    about: dict[str, dict] = field(default_factory=dict)  # by name: further keys of its info
    locked: set[str] = field(default_factory=set)  # names whose files nobody may have
    offers: set[str] = field(default_factory=set)  # names with a revision refs/pr/1 of safetensors
    # Called with (name, file, bytes sent so far); what it raises breaks the line.
    sending: object = None

    def folder(self, name: str, revision: str = "") -> Path:
        return self.root / (f"{name}.offer" if revision.startswith("refs/pr/") else name)

    def commit(self, name: str, revision: str = "") -> str:
        made = hashlib.sha1()
        folder = self.folder(name, revision)
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                made.update(f"{file.relative_to(folder)} {digest(file)}\n".encode())
        return made.hexdigest()

    def find(self, name: str, revision: str) -> tuple[Path, str] | None:
        """The folder of a revision, and its commit."""
        for kind in ("", "refs/pr/1") if name in self.offers else ("",):
            folder = self.folder(name, kind)
            if not folder.is_dir():
                continue
            commit = self.commit(name, kind)
            if revision in ("main", commit) and not (kind and revision == "main"):
                return folder, commit
            if kind and revision == kind:
                return folder, commit
        return None


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if path == "/":
            self.answer(200, b"")
        elif found := TALK.fullmatch(path):
            self.tell_offers(found[1])
        elif found := TREE.fullmatch(path):
            self.list_files(found[1], found[2])
        elif found := INFO.fullmatch(path):
            self.tell(found[1], found[2] or "main")
        elif found := FILE.fullmatch(path):
            self.send_file(found[1], found[2], found[3])
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, b"{}", X_Error_Code=code, X_Error_Message=code)

    def tell_offers(self, name: str) -> None:
        offers = [
            {"num": 1, "author": {"name": "SFconvertbot"}, "title": "Adding safetensors"}
            | {"status": "open", "createdAt": "2024-01-01T00:00:00.000Z", "isPullRequest": True}
            | {"repo": {"name": name, "type": "model"}}
        ]
        given = offers if name in self.hub.offers else []
        told = {"discussions": given, "count": len(given), "start": 0}
        self.answer(200, json.dumps(told).encode())

    def tell(self, name: str, revision: str) -> None:
        if not self.hub.folder(name).is_dir():
            return self.refuse(404, "RepoNotFound")
        found = self.hub.find(name, revision)
        if found is None:
            return self.refuse(404, "RevisionNotFound")
        folder, commit = found
        files = [
            {"rfilename": file.relative_to(folder).as_posix(), "size": file.stat().st_size}
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        ]
        info = {"id": name, "sha": commit, "siblings": files, "tags": [], "private": False}
        info |= {"gated": False} | self.hub.about.get(name, {})
        self.answer(200, json.dumps(info).encode(), X_Repo_Commit=commit)

    def list_files(self, name: str, revision: str) -> None:
        found = self.hub.find(name, revision)
        if found is None:
            return self.refuse(404, "RevisionNotFound")
        files = [
            {"type": "file", "oid": digest(file), "size": file.stat().st_size}
            | {"path": file.relative_to(found[0]).as_posix()}
            for file in sorted(found[0].rglob("*"))
            if file.is_file()
        ]
        self.answer(200, json.dumps(files).encode())

    def send_file(self, name: str, revision: str, file: str) -> None:
        found = self.hub.find(name, revision)
        if found is None:
            return self.refuse(404, "RepoNotFound")
        if name in self.hub.locked:
            return self.refuse(403, "GatedRepo")
        folder, commit = found
        path = folder / file
        if not path.is_file():
            return self.refuse(404, "EntryNotFound")
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{digest(path)}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(body), CHUNK):
            if callable(self.hub.sending):
                try:
                    self.hub.sending(name, file, start)
                except ConnectionError:
                    self.close_connection = True
                    return
            self.wfile.write(body[start : start + CHUNK])


@contextlib.contextmanager
def serving_hub(root: Path) -> Iterator[Hub]:
    hub = Hub(root)
    handler = type("Of", (Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            server.shutdown()
