"""Networks of the Hub that write about a picture, other than an encoder and a decoder joined: BLIP,
GIT, and those that are spoken to (image-text-to-text).

They are asked as CaptionPredictor is. None tells what it looked at for a word.
"""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from PIL import Image

from demos.serving.alarm import Alarm
from demos.serving.checks import check_finite
from demos.serving.loading import SwapError, load_checked
from training.data.hub_choice import PROMPT
from training.media.pictures import flatten
from training.runs import published

if TYPE_CHECKING:  # the page starts without torch
    from torch import Tensor, nn

LONGEST = 40  # tokens of a caption
Seen = dict[str, Any]  # what a network is given of a picture


class Writer(Protocol):
    """A predictor that writes about pictures. What it makes of a picture is between its own
    methods."""

    trained_on: str
    alarm: Alarm

    @property
    def model(self) -> "nn.Module": ...

    @property
    def tokenizer(self) -> Any: ...

    def encode(self, picture: Image.Image, /) -> Any: ...

    def judge(self, seen: Any, /) -> float | None: ...

    def text(self, ids: list[int], /) -> str: ...

    def write(
        self, seen: Any, most: int, temperature: float = 0.0, seed: int = 0, /
    ) -> Iterator[list[int]]: ...

    def search(self, seen: Any, /) -> list[tuple[list[int], float]]: ...

    def attend(self, seen: Any, ids: list[int], /) -> np.ndarray | None: ...

    def check(self) -> None: ...


class WritingPredictor:
    """A published model that writes."""

    def __init__(self, path: Path):
        from transformers import AutoModelForImageTextToText, AutoProcessor

        try:
            self.processor: Any = AutoProcessor.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            raise SwapError(
                "what prepares pictures and words for it cannot be opened: "
                f"{str(error).splitlines()[0][:150]}"
            ) from error
        self.model = load_checked(AutoModelForImageTextToText, path)
        self.model.requires_grad_(False)
        self.tokenizer: Any = getattr(self.processor, "tokenizer", self.processor)
        hub = published.read_own(path)
        self.prompt = (hub["choice"].get("prompt") or "") if hub else ""
        # Of some tokenizers the first token is no special one, and would be read.
        text = getattr(self.model.config, "text_config", None) or self.model.config
        self.begin = getattr(text, "bos_token_id", None)
        self.is_spoken_to = bool(getattr(self.processor, "chat_template", None))
        self.trained_on = getattr(self.model.config, "trained_on", "")
        self.alarm = Alarm(path)

    # -- the picture -------------------------------------------------------------------------------
    def encode(self, picture: Image.Image) -> Seen:
        """What the network is given, on its device."""
        picture = flatten(picture)
        if self.is_spoken_to:
            said = [
                {"type": "image", "image": picture},
                {"type": "text", "text": self.prompt or PROMPT},
            ]
            given = self.processor.apply_chat_template(
                [{"role": "user", "content": said}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        else:
            text = {"text": self.prompt} if self.prompt else {}
            given = self.processor(images=picture, return_tensors="pt", **text)
            if self.prompt and self.model.config.model_type == "git":
                # The sentence's end would end the caption.
                for name in ("input_ids", "attention_mask"):
                    given[name] = given[name][:, :-1]
                given.pop("token_type_ids", None)  # which its tokenizer adds, and it does not take
        return {name: value.to(self.model.device) for name, value in dict(given).items()}

    def judge(self, seen: Seen) -> float | None:
        """How unlike all that was learned: it cannot tell."""
        return None

    # -- words -------------------------------------------------------------------------------------
    def text(self, ids: list[int]) -> str:
        text = str(self.tokenizer.decode(ids, skip_special_tokens=True))
        return " ".join(text.split())

    def _generate(self, seen: Seen, **how: Any) -> Any:
        import torch

        with torch.inference_mode():
            # A copy: some write into what they are given.
            given = {
                name: value.clone() if name == "input_ids" else value
                for name, value in seen.items()
            }
            # Any: transformers declares what `generate` is called on as more than its networks do.
            return cast(Any, self.model).generate(**given, **how)

    def _skip(self, seen: Seen, row: "Tensor") -> list[int]:
        """The ids that were written, without those of what it was told."""
        ids = row.tolist()
        if ids and ids[0] == self.begin:
            ids = ids[1:]
        told = seen["input_ids"][0].tolist() if "input_ids" in seen and self.is_spoken_to else []
        return ids[len(told) :] if told and ids[: len(told)] == told else ids

    def write(
        self, seen: Seen, most: int, temperature: float = 0.0, seed: int = 0
    ) -> Iterator[list[int]]:
        """The caption so far, a token more each time: the likeliest, or one sampled at a
        temperature (each time another one, whatever the seed)."""
        streamer = _Streamer()
        how: dict[str, Any] = (
            {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        )

        def generate() -> None:
            try:
                self._generate(
                    seen,
                    streamer=streamer,
                    num_beams=1,
                    max_new_tokens=most,
                    stopping_criteria=[streamer.should_stop],
                    **how,
                )
            except Exception as error:  # it is raised where the words are waited for
                streamer.tokens.put(error)
            finally:
                streamer.end()

        thread = threading.Thread(target=generate, daemon=True)
        thread.start()
        ids: list[int] = []
        try:
            while (token := streamer.tokens.get()) is not None:
                if isinstance(token, Exception):
                    raise SwapError(
                        f"This model failed as it wrote ({type(token).__name__}): choose another."
                    ) from token
                ids.append(token)
                yield [*ids]
        finally:
            streamer.stopped.set()
            thread.join()

    def search(self, seen: Seen, beams: int = 4) -> list[tuple[list[int], float]]:
        """What beam search ends with, the best first: a caption and its mean log-likelihood a
        token."""
        out = self._generate(
            seen,
            num_beams=beams,
            num_return_sequences=beams,
            do_sample=False,
            max_new_tokens=LONGEST,
            return_dict_in_generate=True,
            output_scores=True,
        )
        rows = [self._skip(seen, row) for row in out.sequences]
        return list(zip(rows, out.sequences_scores.tolist(), strict=True))

    def attend(self, seen: Seen, ids: list[int]) -> np.ndarray | None:
        """It does not tell."""
        return None

    def check(self) -> None:
        """Scores a first token for a picture of two halves."""
        picture = Image.new("RGB", (64, 64))
        picture.paste((255, 255, 255), (0, 0, 32, 64))
        out = self._generate(
            self.encode(picture),
            num_beams=1,
            do_sample=False,
            max_new_tokens=1,
            min_new_tokens=1,
            return_dict_in_generate=True,
            output_logits=True,
        )
        check_finite(out.logits[0].float().cpu().numpy())


class _Streamer:
    """Hands over the ids that `generate` writes, and ends it when nobody reads on."""

    def __init__(self) -> None:
        self.tokens: queue.Queue[int | Exception | None] = queue.Queue()
        self.stopped = threading.Event()
        self._begun = False

    def put(self, value: "Tensor") -> None:
        if self._begun:
            self.tokens.put(int(value.reshape(-1)[0]))
        self._begun = True  # what it was told comes first

    def end(self) -> None:
        self.tokens.put(None)

    def should_stop(self, ids: "Tensor", scores: object, **_: object) -> "Tensor":
        import torch

        return torch.full((len(ids),), self.stopped.is_set(), device=ids.device)
