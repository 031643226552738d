"""A small server of the Hub's few routes: who somebody is, repositories made, pushed to and read.

    with small_hub.serve() as hub:
        hub.address, hub.token              # what to ask, and the one token that it knows
        hub.repos["model/me/food"]          # Repo: private, files
        hub.root                            # or models in a folder: ROOT/owner/name/files
        hub.refuse, hub.cut, hub.sending    # what goes wrong
        hub.asked, hub.sent                 # what it heard, and how many bytes of files it gave

What the real one does beside that (branches, users, limits) it does not know.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

KINDS = {"models": "model", "datasets": "dataset"}
LARGE = 100_000  # bytes of a file that comes apart from the commit
CHUNK = 1 << 16  # bytes that are sent at a time
OFFER = "refs/pr/1"  # the revision in which safetensors are offered for a model of pickles
REPO = r"/api/(models|datasets)/([^/]+/[^/]+)"


@dataclass
class Repo:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def sha(self) -> str:
        told = hashlib.sha1()
        for name, content in sorted(self.files.items()):
            told.update(name.encode() + hashlib.sha1(content).digest())
        return told.hexdigest()


@dataclass
class SmallHub:
    address: str = ""
    token: str = "hf_verysecret"
    user: str = "me"
    orgs: list[str] = field(default_factory=list)
    role: str = "write"
    repos: dict[str, Repo] = field(default_factory=dict)
    root: Path | None = None  # of a folder with models
    about: dict[str, dict] = field(default_factory=dict)  # by name: what it tells besides
    locked: set[str] = field(default_factory=set)  # names whose files nobody may have
    offers: set[str] = field(default_factory=set)  # names with an OFFER, which NAME.offer holds
    large: dict[str, bytes] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)  # part of a path: status
    cut: str = ""  # part of a path at which the line breaks
    cut_after: int = 0  # bytes of files after which it breaks, if any
    cut_once: bool = False
    # Called with (name, file, bytes sent so far); what it raises breaks the line.
    sending: Callable[[str, str, int], object] | None = None
    ranges: bool = True  # whether parts of files can be had
    sent: int = 0  # bytes of files
    asked: list[str] = field(default_factory=list)

    def find(self, kind: str, name: str) -> Repo | None:
        """Of a kind (models, datasets), by owner/name."""
        folder = self.root / name if self.root and kind == "models" else None
        if folder is None or not folder.is_dir():
            return self.repos.get(f"{KINDS[kind]}/{name}")
        files = [file for file in folder.rglob("*") if file.is_file()]
        return Repo(False, {f.relative_to(folder).as_posix(): f.read_bytes() for f in files})

    def find_revision(self, kind: str, name: str, revision: str) -> Repo | None:
        """As it is in one of its revisions: a branch, or a commit."""
        now = self.find(kind, name)
        if now and revision in ("main", now.sha):
            return now
        offer = self.find(kind, f"{name}.offer") if name in self.offers else None
        return offer if offer and revision in (OFFER, offer.sha) else None

    def commit(self, name: str, revision: str = "main") -> str:
        """Of a model."""
        found = self.find_revision("models", name, revision)
        assert found, f"{name} has no revision {revision}"
        return found.sha

    def be_asked(self, monkeypatch: Any, home: Path) -> None:
        """Has this process ask it, with a cache of its own."""
        from huggingface_hub import constants

        place = self.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", self.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", place)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HOME", str(home))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "cache"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: SmallHub

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def answer(self, status: int, body: object = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.begin(status, len(content), **headers)
        if self.command != "HEAD":
            self.wfile.write(content)

    def begin(self, status: int, size: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(size), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def read(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().strip(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def refused(self, path: str) -> bool:
        """Whether it was, by an answer that repeats what was sent, as a careless server's does."""
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.cut and self.hub.cut in path:
            self.close_connection = True
            self.connection.close()
            return True
        for part, status in self.hub.refuse.items():
            if part in path:
                self.read()
                sent = self.headers.get("Authorization", "")
                self.answer(status, {"error": f"refused {sent}"}, X_Error_Message=f"no {sent}")
                return True
        return False

    def known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def find(self, kind: str, name: str) -> Repo | None:
        repo = self.hub.find(kind, name)
        return repo if repo and (not repo.private or self.known()) else None

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if self.refused(path):
            return
        if path == "/api/whoami-v2":
            if not self.known():
                return self.answer(401, {"error": "Invalid credentials"})
            orgs = [{"name": name} for name in self.hub.orgs]
            auth = {"type": "access_token", "accessToken": {"role": self.hub.role}}
            return self.answer(200, {"name": self.hub.user, "orgs": orgs, "auth": auth})
        if path == "/":
            return self.answer(200)
        if talk := re.fullmatch(f"{REPO}/discussions", path):
            return self.tell_offers(talk[2])
        if tree := re.fullmatch(f"{REPO}/tree/(.+)", path):
            return self.open(tree[1], tree[2], tree[3], self.list_files)
        if about := re.fullmatch(f"{REPO}(?:/revision/(.+))?", path):
            name = about[2]
            return self.open(
                about[1], name, about[3] or "main", lambda repo: self.describe(name, repo)
            )
        if file := re.fullmatch(r"(/datasets)?/([^/]+/[^/]+)/resolve/(\w+)/(.+)", path):
            kind = "datasets" if file[1] else "models"
            name, place = file[2], file[4]
            return self.open(kind, name, file[3], lambda repo: self.send_file(name, repo, place))
        return self.answer(404)

    def open(self, kind: str, name: str, revision: str, then: Callable[[Repo], None]) -> None:
        """Goes on with a revision, where it is there."""
        if self.find(kind, name) is None:
            return self.missing("RepoNotFound")
        repo = self.hub.find_revision(kind, name, revision)
        return then(repo) if repo else self.missing("RevisionNotFound")

    def tell_offers(self, name: str) -> None:
        offer = {"num": 1, "author": {"name": "SFconvertbot"}, "title": "Adding safetensors"}
        offer |= {"status": "open", "createdAt": "2024-01-01T00:00:00.000Z", "isPullRequest": True}
        offer |= {"repo": {"name": name, "type": "model"}}
        offers = [offer] if name in self.hub.offers else []
        self.answer(200, {"discussions": offers, "count": len(offers), "start": 0})

    def send_file(self, name: str, repo: Repo, place: str) -> None:
        """Whole, or the part that was asked for."""
        if place not in repo.files:
            return self.missing("EntryNotFound", X_Repo_Commit=repo.sha)
        if name in self.hub.locked:
            return self.answer(403, X_Error_Code="GatedRepo", X_Error_Message="ask first")
        content = repo.files[place]
        about = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X_Repo_Commit": repo.sha}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        status = 200
        if asked and self.hub.ranges:
            low, high = int(asked[1]), min(int(asked[2]), len(content) - 1)
            status, about["Content_Range"] = 206, f"bytes {low}-{high}/{len(content)}"
            content = content[low : high + 1]
        if self.command == "HEAD":
            return self.answer(status, content, **about)
        self.begin(status, len(content), **about)
        self.hub.sent += len(content)
        if self.hub.cut_after and self.hub.sent > self.hub.cut_after:
            self.hub.cut_after = 0 if self.hub.cut_once else self.hub.cut_after
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return self.connection.close()
        for start in range(0, len(content), CHUNK):
            if self.hub.sending:
                self.hub.sending(name, place, start)  # a ConnectionError ends the line
            self.wfile.write(content[start : start + CHUNK])

    def missing(self, code: str, **more: str) -> None:
        self.answer(404, {"error": code}, X_Error_Code=code, X_Error_Message=code, **more)

    def describe(self, name: str, repo: Repo) -> None:
        files = [
            {"rfilename": place, "size": len(content)}
            for place, content in sorted(repo.files.items())
        ]
        about = {"id": name, "sha": repo.sha, "private": repo.private, "siblings": files}
        about |= {"tags": [], "downloads": 0, "likes": 0, "lastModified": "2026-11-27T00:00:00Z"}
        about |= {"gated": False} | self.hub.about.get(name, {})
        self.answer(200, about, X_Repo_Commit=repo.sha)

    def list_files(self, repo: Repo) -> None:
        files = [
            {"type": "file", "path": place, "size": len(content), "oid": "0" * 40}
            for place, content in sorted(repo.files.items())
        ]
        self.answer(200, files, X_Repo_Commit=repo.sha)

    def do_POST(self):
        path = unquote(urlsplit(self.path).path)
        if self.refused(path):
            return
        body = self.read()
        if not self.known():
            return self.answer(401, {"error": "Invalid credentials"})
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path.endswith("/info/lfs/objects/batch"):
            return self.offer(json.loads(body)["objects"])
        about = re.fullmatch(f"{REPO}/(preupload|commit)/main", path)
        repo = self.find(about[1], about[2]) if about else None
        if repo is None:
            return self.missing("RepoNotFound")
        if about[3] == "preupload":
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["size"] > LARGE else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        for line in body.splitlines():
            self.take(repo, **json.loads(line))
        return self.answer(
            200, {"commitOid": repo.sha, "commitUrl": f"{self.hub.address}/{about[2]}"}
        )

    def create(self, wanted: dict) -> None:
        owner = wanted.get("organization") or self.hub.user
        name = f"{owner}/{wanted['name']}"
        key = f"{wanted.get('type') or 'model'}/{name}"
        if key in self.hub.repos:
            return self.answer(409, {"error": "there already"})
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.hub.repos[key] = Repo(bool(private))
        return self.answer(200, {"url": f"{self.hub.address}/{name}", "id": name})

    def offer(self, objects: list[dict]) -> None:
        told = []
        for each in objects:
            place = {"href": f"{self.hub.address}/large/{each['oid']}", "header": {}}
            known = each["oid"] in self.hub.large
            told.append({**each, **({} if known else {"actions": {"upload": place}})})
        self.answer(200, {"transfer": "basic", "objects": told})

    def take(self, repo: Repo, key: str, value: dict) -> None:
        if key == "file":
            repo.files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            repo.files[value["path"]] = self.hub.large[value["oid"]]
        elif key == "deletedFile":
            repo.files.pop(value["path"], None)

    def do_PUT(self):
        if self.refused(self.path):
            return
        content = self.read()
        self.hub.large[hashlib.sha256(content).hexdigest()] = content
        self.answer(200)


@contextlib.contextmanager
def serve(root: Path | None = None) -> Iterator[SmallHub]:
    """A hub that holds nothing, or the models of a folder, while the block lasts."""
    hub = SmallHub(root=root)
    made = type("Served", (Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), made) as server:
        server.daemon_threads = True
        hub.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            server.shutdown()
