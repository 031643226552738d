"""What a person made leaves the page: a checkpoint as a zip or as ONNX, or pushed to the Hub."""

import contextlib
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import gradio as gr

from demos import page, run_views
from demos.clock import Moment, Part
from demos.pushing import PushForm, Pushing, watched
from demos.serving import uploads
from demos.serving.lab import Lab
from demos.serving.uploads import NoRoom, uploads_in
from demos.waiting import PROGRESS, Waiting, name_visit
from training import recipe
from training.data.own.data_set import Tell, tell_nobody
from training.publish.pack import Package, find_checkpoint, pack_checkpoint, write_zip
from training.publish.push import ask_licences
from training.recipe import SettingsError
from training.runs.checkpoint import Checkpoint, CheckpointError
from training.runs.job import ROOT
from training.runs.run import OVER, Run
from training.take_away import KINDS
from training.wording import quote


class TakeAway:
    """What can be taken away of one app. Every refusal is a SettingsError or a CheckpointError, or
    a gr.Error where training is off."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.exporting = threading.Lock()

    def find(self, name: str | None) -> Checkpoint:
        """The checkpoint of a run, or an embedded one."""
        page.refuse_unless(self.lab.training)
        if not name:
            raise SettingsError("Choose a run in the history first.")
        return find_checkpoint(self.lab.runs, str(name))

    def download(self, name: str | None, to: str = "zip", tell: Tell = tell_nobody) -> Path:
        """A zip in the folder of uploads, which is kept small and removed when the app ends."""
        found = self.find(name)
        if to not in KINDS:
            raise SettingsError(f"to is {quote(to)}: it must be one of {', '.join(KINDS)}.")
        folder = uploads.claim_folder()
        home = folder / secrets.token_hex(8)
        if to == "onnx":
            return self._export(found, home)
        package = pack_checkpoint(found, self.lab.runs)
        with self._make_room(package, folder):
            home.mkdir()
            return write_zip(package, home / f"{package.name}.zip", tell)

    @contextlib.contextmanager
    def _make_room(self, package: Package, folder: Path):
        if package.bytes > uploads_in(folder).most:
            raise SettingsError(
                f"This model takes {package.bytes / 1e9:.1f} GB, which is more than the page hands "
                f"out. Use the command: python -m training export {package.name} --to zip"
            )
        try:
            with uploads_in(folder).expect(package.bytes, upload=False):
                yield
        except NoRoom as error:
            raise SettingsError(str(error)) from error

    def _export(self, found: Checkpoint, home: Path) -> Path:
        """By the command, in a process of its own: it takes a core for half a minute, and as much
        memory as the network twice over, which answers here must not wait for."""
        home.mkdir()
        file = home / f"{found.id}-onnx.zip"
        with self.exporting:
            ended = subprocess.run(
                [
                    *(sys.executable, "-m", "training", "export", found.id, "--to", "onnx"),
                    *("--file", str(file), "--runs", str(self.lab.runs)),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        if ended.returncode == 0 and file.is_file():
            return file
        errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        raise SettingsError(
            errors[-1].removeprefix("error: ")
            if errors
            else "The export to ONNX ended without a word. Try the command: python -m training "
            f"export {found.id} --to onnx"
        )

    def pack(self, name: str | None, token: str | None) -> Package:
        """What is pushed, with its card."""
        return pack_checkpoint(self.find(name), self.lab.runs, ask_licences(token))


def endpoints(taking: TakeAway) -> None:
    """The API: names and first outputs are a promise."""

    def download_run(run: str, to: str = "zip") -> str:
        """A checkpoint as a file, by a run's id or embedded-food: to zip (what from_pretrained
        loads, its card, and use.py), or to onnx (classifiers)."""
        return str(taking.download(run, to or "zip"))

    gr.on(
        [],
        download_run,
        [gr.Textbox(label="run", visible=False), gr.Textbox("zip", label="to", visible=False)],
        gr.File(label="file", visible=False),
        api_name="download_run",
        show_progress="hidden",
    )


# -- the page --------------------------------------------------------------------------------------
class _Panel:
    """What the buttons do; `selected` is the id of the run that a person chose, or none."""

    def __init__(self, taking: TakeAway):
        self.taking = taking
        self.waiting = Waiting()

    def _name_shown(self, selected: str | None) -> str | None:
        run = run_views.current(self.taking.lab.runs, selected)
        return run.id if run else None

    def download(
        self, selected: str | None, to: str, request: gr.Request, progress: gr.Progress
    ) -> list[object]:
        """The file, and what is said."""
        visit = name_visit(request)
        try:
            tell = self.waiting.begin(visit, progress)
            file = self.taking.download(self._name_shown(selected), to, tell)
        except (SettingsError, CheckpointError) as error:
            return [gr.File(value=None, visible=False), page.show_refusal(error)]
        finally:
            self.waiting.end(visit)
        return [gr.File(value=str(file), visible=True), ""]

    def take_zip(
        self, selected: str | None, request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> list[object]:
        return self.download(selected, "zip", request, progress)

    def take_onnx(
        self, selected: str | None, request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> list[object]:
        progress((0, None), desc="exporting and comparing")
        return self.download(selected, "onnx", request, progress)

    def pack(self, selected: str | None, token: str | None) -> Package:
        return self.taking.pack(self._name_shown(selected), token)


def build(taking: TakeAway, selected: gr.Textbox) -> Part:
    """Lays out what stands below a run's report. Returns what changes by itself."""
    lab = taking.lab
    does = _Panel(taking)
    with gr.Column(visible=False, elem_id="take-away") as group:
        with gr.Row():
            as_zip = gr.Button("Download", size="sm", min_width=120, elem_id="take-zip")
            as_onnx = gr.Button("Download as ONNX", size="sm", min_width=120, elem_id="take-onnx")
            to_hub = gr.Button("Push to the Hub…", size="sm", min_width=120, elem_id="take-hub")
        file = gr.File(label="Ready to download", visible=False, height=80, elem_id="take-file")
        pushing = Pushing(lab, does.pack, "push RUN owner/name")
        form = PushForm(pushing, "push", "food-small")
        told = gr.HTML(elem_id="taken")
    as_zip.click(does.take_zip, selected, [file, told], **watched)
    as_onnx.click(does.take_onnx, selected, [file, told], **watched)
    form.wire(to_hub, selected, told)

    def sign(moment: Moment) -> str:
        run = moment.run
        return repr((run.id, run.state in OVER)) if run else ""

    def show(moment: Moment) -> list[object]:
        run = moment.run
        shown = bool(lab.training and run and run.state in OVER)
        return [
            gr.Column(visible=shown),
            gr.Button(visible=bool(run and _is_classifier(run))),
            gr.File(value=None, visible=False),
            gr.Column(visible=False),
            "",
        ]

    return Part(sign, show, [group, as_onnx, file, form.group, told])


def _is_classifier(run: Run) -> bool:
    """Whether its recipe says how it is exported."""
    return run.recipe in recipe.names() and recipe.load(run.recipe).port is not None
