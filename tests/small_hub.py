"""A small server of the Hub's few routes: who somebody is, repositories made, pushed to and read.

    with small_hub.serve() as hub:
        hub.address, hub.token              # what to ask, and the one token that it knows
        hub.repos["model/me/food"]          # Repo: private, files
        hub.refuse, hub.cut                 # what goes wrong

What the real one does beside that (branches, users, limits) it does not know.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

KINDS = {"models": "model", "datasets": "dataset"}
LARGE = 100_000  # bytes of a file that comes apart from the commit


@dataclass
class Repo:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    gated: bool = False  # whether its files are kept from those who have not asked

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
    large: dict[str, bytes] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)  # part of a path: status
    cut: str = ""  # part of a path at which the line breaks
    cut_after: int = 0  # bytes of files after which it breaks, if any
    cut_once: bool = False
    ranges: bool = True  # whether parts of files can be had
    sent: int = 0  # bytes of files
    asked: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: SmallHub

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def answer(self, status: int, body: object = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

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
        repo = self.hub.repos.get(f"{KINDS[kind]}/{name}")
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
        if about := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(/revision/\w+)?", path):
            repo = self.find(about[1], about[2])
            return self.describe(about[2], repo) if repo else self.missing("RepoNotFound")
        if tree := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/tree/\w+", path):
            repo = self.find(tree[1], tree[2])
            return self.list_files(repo) if repo else self.missing("RepoNotFound")
        if file := re.fullmatch(r"(/datasets)?/([^/]+/[^/]+)/resolve/\w+/(.+)", path):
            repo = self.find("datasets" if file[1] else "models", file[2])
            if repo is None:
                return self.missing("RepoNotFound")
            if file[3] not in repo.files:
                return self.missing("EntryNotFound", X_Repo_Commit=repo.sha)
            if repo.gated:
                return self.answer(403, X_Error_Code="GatedRepo", X_Error_Message="ask first")
            return self.send_file(repo, repo.files[file[3]])
        return self.answer(404)

    def send_file(self, repo: Repo, content: bytes) -> None:
        """Whole, or the part that was asked for."""
        about = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X_Repo_Commit": repo.sha}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        status = 200
        if asked and self.hub.ranges:
            low, high = int(asked[1]), min(int(asked[2]), len(content) - 1)
            status, about["Content_Range"] = 206, f"bytes {low}-{high}/{len(content)}"
            content = content[low : high + 1]
        if self.command == "GET":
            self.hub.sent += len(content)
            if self.hub.cut_after and self.hub.sent > self.hub.cut_after:
                self.hub.cut_after = 0 if self.hub.cut_once else self.hub.cut_after
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
                return self.connection.close()
        return self.answer(status, content, **about)

    def missing(self, code: str, **more: str) -> None:
        self.answer(404, {"error": code}, X_Error_Code=code, X_Error_Message=code, **more)

    def describe(self, name: str, repo: Repo) -> None:
        files = [{"rfilename": each} for each in sorted(repo.files)]
        about = {"id": name, "sha": repo.sha, "private": repo.private, "siblings": files}
        about |= {"tags": [], "downloads": 0, "likes": 0, "lastModified": "2026-11-27T00:00:00Z"}
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
        about = re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/(preupload|commit)/main", path)
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
def serve():
    """A hub that holds nothing, while the block lasts."""
    hub = SmallHub()
    made = type("Served", (Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), made) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            server.shutdown()
