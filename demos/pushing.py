"""To the Hub, from the page: a name, who may see it, the card before it goes, how far it is, a way
out, and the address at the end. One way for what a person trained and for what they collected.

On the owner's own page what `hf auth login` left on this machine is used; where others reach the
page, a visitor's own sign-in alone. No token is typed here, kept, logged or shown.
"""

import html
from collections.abc import Callable

import gradio as gr
from gradio.components import Component

from demos import page
from demos.serving.lab import Lab
from demos.waiting import PROGRESS, Waiting, name_visit
from training.data.own.data_set import Cancelled, Tell, tell_nobody
from training.publish.pack import Package
from training.publish.push import check_ready, find_token, push
from training.recipe import SettingsError
from training.runs.checkpoint import CheckpointError

SIGN_IN = "Sign in to the Hub with the button above first: what you push goes to your own account."
COMMAND = (
    "Others can reach this page, so nobody's sign-in to the Hub is used here. Whoever runs it "
    "pushes with the command: python -m training {}."
)
PUBLIC = "Public: everybody can see it"
PRIVATE = "Private: you alone"
quiet: page.Listening = {"api_visibility": "private", "show_progress": "hidden"}
watched: page.Listening = {"api_visibility": "private", "show_progress": "full"}
# Of what was chosen, with the token of who asks; raises SettingsError, CheckpointError.
Pack = Callable[[str | None, str | None], Package]


class Pushing:
    """Things of one kind, pushed from one app. Every refusal is a SettingsError or a
    CheckpointError, or a gr.Error where training is off."""

    def __init__(self, lab: Lab, pack: Pack, command: str):
        """`command`: what does the same in a terminal, such as `push RUN owner/name`."""
        self.lab = lab
        self._pack = pack
        self.command = command

    def find_token(self, visitor: gr.OAuthToken | None) -> str | None:
        """The visitor's own; on the owner's own page the owner's. Raises SettingsError where there
        is none to be had here; None where nobody has signed in on this machine."""
        if visitor is not None:
            return visitor.token
        if self.lab.alone:
            return find_token()
        raise SettingsError(SIGN_IN if self.lab.signs_in else COMMAND.format(self.command))

    def pack(self, name: str | None, visitor: gr.OAuthToken | None) -> Package:
        """What is pushed, with its card."""
        page.refuse_unless(self.lab.training)
        return self._pack(name, self.find_token(visitor))

    def push(
        self,
        name: str | None,
        place: str,
        private: bool,
        visitor: gr.OAuthToken | None,
        tell: Tell = tell_nobody,
    ) -> str:
        """The address of what was pushed."""
        page.refuse_unless(self.lab.training)
        token = self.find_token(visitor)
        check_ready(place, token)
        return push(self._pack(name, token), place, private, token, tell)


class PushForm:
    """Laid out where it is made, hidden; `wire` brings it to life."""

    def __init__(self, pushing: Pushing, prefix: str, example: str):
        """`prefix`: of the components' ids; `example`: a name that fits."""
        self.pushing = pushing
        with gr.Column(visible=False, elem_id=f"{prefix}-form") as self.group:
            if pushing.lab.signs_in:
                gr.LoginButton()
            with gr.Row():
                self.place = gr.Textbox(
                    label="Name on the Hub",
                    info="owner/name: you, or an organization of yours.",
                    placeholder=f"your-name/{example}",
                    max_lines=1,
                    elem_id=f"{prefix}-name",
                    min_width=240,
                )
                self.seen = gr.Radio(
                    [PRIVATE, PUBLIC],
                    value=PRIVATE,
                    label="Who may see it",
                    elem_id=f"{prefix}-seen",
                    min_width=240,
                )
            self.card = gr.Textbox(
                label="Its card, as it is pushed",
                lines=8,
                max_lines=14,
                interactive=False,
                elem_id=f"{prefix}-card",
            )
            with gr.Row():
                self.go = gr.Button("Push", variant="primary", size="sm", elem_id=f"{prefix}-go")
                self.cancel = gr.Button("Cancel", size="sm", elem_id=f"{prefix}-cancel")

    def wire(self, opener: gr.Button, chosen: Component, told: gr.HTML) -> None:
        """`opener` shows it for what is `chosen`; `told`: where it is said what came of it."""
        does = _Handlers(self.pushing)
        opener.click(does.show_what_goes, chosen, [self.group, self.card, told], **quiet)
        self.go.click(does.push_it, [chosen, self.place, self.seen], [self.group, told], **watched)
        self.cancel.click(
            does.waiting.cancel, None, None, queue=False, api_visibility="private"
        ).then(lambda: gr.Column(visible=False), None, self.group, **quiet)


class _Handlers:
    def __init__(self, pushing: Pushing):
        self.pushing = pushing
        self.waiting = Waiting()

    def show_what_goes(self, chosen: str | None, visitor: gr.OAuthToken | None) -> list[object]:
        """The form, the card, and what is said."""
        try:
            package = self.pushing.pack(chosen, visitor)
        except (SettingsError, CheckpointError) as error:
            # A visitor must see the form, since the button to sign in stands there.
            return [gr.Column(visible=self.pushing.lab.signs_in), "", page.show_refusal(error)]
        return [gr.Column(visible=True), package.card, ""]

    def push_it(
        self,
        chosen: str | None,
        place: str,
        seen: str,
        visitor: gr.OAuthToken | None,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> list[object]:
        """The form, and what is said."""
        visit = name_visit(request)
        try:
            tell = self.waiting.begin(visit, progress, "MB")
            address = self.pushing.push(chosen, place, seen != PUBLIC, visitor, tell)
        except Cancelled:
            return [gr.skip(), page.notice("Cancelled: nothing was pushed.")]
        except (SettingsError, CheckpointError) as error:
            return [gr.skip(), page.show_refusal(error)]
        finally:
            self.waiting.end(visit)
        where = html.escape(address)
        link = f'<a href="{where}" target="_blank" rel="noopener">{where}</a>'
        who = "everybody can see it" if seen == PUBLIC else "it is private"
        return [gr.Column(visible=False), page.notice(f"Pushed to {link} ({who}).", "good")]
