"""Networks of the Hub that write about a picture, other than an encoder and a decoder joined: BLIP,
GIT, and those that are spoken to (image-text-to-text: SmolVLM, LLaVA, Qwen-VL).

They are asked as CaptionPredictor is. None tells what it looked at for a word. Those that are
spoken to are large: they are shown a smaller picture, whole, and end where their time is over.
"""

import contextlib
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
SECONDS = 60.0  # after which a caption ends where it is
# Pixels of the longer side that a network which is spoken to is shown: some make of a photo as many
# tokens as it has room for, thousands of them.
SIDE = 512
TEMPLATE = "chat_template.jinja"
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
        except ImportError as error:
            said = " ".join(str(error).split())[:200].rstrip(".")
            raise SwapError(f"this machine lacks what it needs: {said}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SwapError(
                "what prepares pictures and words for it (preprocessor_config.json or "
                "processor_config.json, and tokenizer.json) is missing or damaged"
            ) from error
        self.model = load_checked(AutoModelForImageTextToText, path)
        self.model.requires_grad_(False)
        self.tokenizer: Any = getattr(self.processor, "tokenizer", self.processor)
        hub = published.read_own(path)
        self.prompt = (hub["choice"].get("prompt") or "") if hub else ""
        # Of some tokenizers the first token is no special one, and would be read.
        text = getattr(self.model.config, "text_config", None) or self.model.config
        self.begin = getattr(text, "bos_token_id", None)
        # Some keep with their tokenizer how a chat is written down.
        template = getattr(self.processor, "chat_template", None) or self.tokenizer.chat_template
        self.is_spoken_to = bool(template)
        if self.is_spoken_to:
            self.processor.chat_template = template
            # One look at the whole picture, where some would look at a dozen parts of it besides.
            pictures: Any = getattr(self.processor, "image_processor", None)
            if hasattr(pictures, "do_image_splitting"):
                pictures.do_image_splitting = False
        self.trained_on = getattr(self.model.config, "trained_on", "")
        self.alarm = Alarm(path)

    # -- the picture -------------------------------------------------------------------------------
    def encode(self, picture: Image.Image) -> Seen:
        """What the network is given, on its device. Raises SwapError."""
        with _in_a_sentence("looked at this picture"):
            return self._prepare(flatten(picture))

    def _prepare(self, picture: Image.Image) -> Seen:
        given = self._process(picture)
        return {name: value.to(self.model.device) for name, value in dict(given).items()}

    def _process(self, picture: Image.Image) -> Any:
        if self.is_spoken_to:
            picture.thumbnail((SIDE, SIDE))
            said = [
                {"type": "image", "image": picture},
                {"type": "text", "text": self.prompt or PROMPT},
            ]
            return self.processor.apply_chat_template(
                [{"role": "user", "content": said}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        text = {"text": self.prompt} if self.prompt else {}
        given = self.processor(images=picture, return_tensors="pt", **text)
        if self.prompt and self.model.config.model_type == "git":
            # The sentence's end would end the caption.
            for name in ("input_ids", "attention_mask"):
                given[name] = given[name][:, :-1]
            given.pop("token_type_ids", None)  # which its tokenizer adds, and it does not take
        return given

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
            return cast(Any, self.model).generate(**given, max_time=SECONDS, **how)

    def _skip(self, seen: Seen, row: "Tensor") -> list[int]:
        """The ids that were written, without those of what it was told."""
        ids = row.tolist()
        if self.is_spoken_to:  # most repeat the whole chat, some only answer
            told = seen["input_ids"][0].tolist()
            ids = ids[len(told) :] if ids[: len(told)] == told else ids
        return ids[1:] if ids and ids[0] == self.begin else ids

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
                    with _in_a_sentence("wrote"):
                        raise token
                ids.append(token)
                yield [*ids]
        finally:
            streamer.stopped.set()
            thread.join()

    def search(self, seen: Seen, beams: int = 4) -> list[tuple[list[int], float]]:
        """What beam search ends with, the best first: a caption and its mean log-likelihood a
        token. Raises SwapError."""
        with _in_a_sentence("wrote"):
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
        try:
            out = self._generate(
                self._prepare(picture),
                num_beams=1,
                do_sample=False,
                max_new_tokens=1,
                min_new_tokens=1,
                return_dict_in_generate=True,
                output_logits=True,
            )
        except Exception as error:
            if self.is_spoken_to or not hasattr(self.processor, "image_token"):
                raise
            # A picture has its place in the text, and nothing says where.
            raise SwapError(
                f"it is one that is spoken to, and holds no chat template ({TEMPLATE}), so how a "
                "question is written down for it cannot be told"
            ) from error
        check_finite(out.logits[0].float().cpu().numpy())


@contextlib.contextmanager
def _in_a_sentence(did: str) -> Iterator[None]:
    """What a network raises, of whichever kind, as a SwapError."""
    try:
        yield
    except Exception as error:
        raise SwapError(
            f"This model failed as it {did} ({type(error).__name__}): choose another."
        ) from error


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
