"""The networks of the captioning recipe: an encoder and a decoder joined, a whole captioner opened,
a small one made.

Joined or whole, it is transformers' VisionEncoderDecoderModel: the encoder makes a row of numbers
for each place of the picture, and the decoder attends to them for every word.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
)
from transformers.modeling_outputs import BaseModelOutput

from training.data import hub
from training.learn import backbone
from training.learn.architectures import ARCHS
from training.learn.backbone import Start
from training.media import words
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipe import SettingsError
from training.recipes.captioning.config import BEAMS, NEW, WORDS, Config
from training.runs import checkpoint
from training.runs.checkpoint import Checkpoint

# Small parts: together at most 12 million weights, so that half precision is under 25 MB.
ENCODER: dict[str, Any] = ARCHS["swin"]
DECODER: dict[str, Any] = dict(model_type="gpt2", n_embd=256, n_layer=4, n_head=4, n_positions=128)
SIZE = 128
VOCABULARY = 3000
END = "<|endoftext|>"
DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")


@dataclass
class CaptionPreprocessor:
    """How a captioner sees, and its words."""

    pictures: PicturePreprocessor
    tokenizer: PreTrainedTokenizerBase

    @classmethod
    def from_checkpoint(cls, path: Path) -> "CaptionPreprocessor":
        """Raises CheckpointError."""
        return cls(PicturePreprocessor.from_checkpoint(path), open_tokenizer(path))

    def save_pretrained(self, path: Path) -> None:
        self.pictures.processor().save_pretrained(path)
        self.tokenizer.save_pretrained(path)

    @property
    def padding(self) -> int:
        """The number of what stands behind a sentence that ended."""
        return cast(int, self.tokenizer.pad_token_id)

    def tokenize(self, texts: list[str], most: int) -> list[list[int]]:
        """Each sentence as the decoder's numbers, the last one END."""
        found = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return [ids[: most - 1] + [self.tokenizer.eos_token_id] for ids in found]


def open_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """A checkpoint's tokenizer, with an end and a padding. Raises CheckpointError."""
    tokenizer = words.open_tokenizer(path, checkpoint.call(path))
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token = END
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    """Byte pairs learned from these sentences, in lower case."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            min_frequency=2,
            special_tokens=[END],
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=END, eos_token=END, pad_token=END
    )


def is_captioner(path: Path) -> bool:
    return checkpoint.config(path).get("model_type") == "vision-encoder-decoder"


def open_network(path: Path) -> tuple[VisionEncoderDecoderModel, CaptionPreprocessor]:
    """A checkpoint as float32, and how it sees and spells."""
    model = VisionEncoderDecoderModel.from_pretrained(
        path, use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    return model, CaptionPreprocessor.from_checkpoint(path)


def find_start(config: Config, runs: Path, slot: str) -> Start:
    """What a captioner starts from: a checkpoint, or two parts. Raises SettingsError,
    CheckpointError."""
    if config.parts:
        return Start(" + ".join(config.parts))
    return backbone.find_start(config, runs, slot)


def build_network(
    config: Config, start: Start, texts: list[str], runs: Path
) -> tuple[VisionEncoderDecoderModel, CaptionPreprocessor, dict[str, str]]:
    """The network to train, float32, how it sees and spells, and the parts that it is joined of,
    with the revisions of those of the Hub ("" for others). Raises SettingsError, CheckpointError.
    """
    torch.manual_seed(config.seed)
    revisions: dict[str, str] = {}
    if config.parts:
        model, preprocessor, revisions = _join_parts(config, *config.parts, texts, runs)
    else:
        assert start.checkpoint is not None  # without parts a captioner starts from nothing else
        model, preprocessor = _open_start(config, start.checkpoint)
    configure(model, preprocessor.tokenizer, config)
    return model, preprocessor, revisions


def _open_start(
    config: Config, start: Checkpoint
) -> tuple[VisionEncoderDecoderModel, CaptionPreprocessor]:
    if not is_captioner(start.path):
        raise SettingsError(
            f"{start.name} is no captioner of an encoder and a decoder: choose another start, or "
            "start parts, and name it as the encoder."
        )
    preprocessor = CaptionPreprocessor.from_checkpoint(start.path)
    try:
        made = AutoConfig.from_pretrained(start.path, local_files_only=True)
        preprocessor.pictures = backbone.resize_input(
            made.encoder, preprocessor.pictures, config, start.name
        )
        made.decoder.is_decoder = True
        made.decoder.add_cross_attention = True
        if config.method == "scratch":
            return VisionEncoderDecoderModel(made).float(), preprocessor
        model = backbone.load_weights(
            VisionEncoderDecoderModel, start.path, made, start.name, lambda *_: False
        )
        assert isinstance(model, VisionEncoderDecoderModel)
    except SettingsError:  # a sentence already, though a ValueError too
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise SettingsError(
            f"{start.name} cannot be used to write captions: {str(error).splitlines()[0][:200]}"
        ) from error
    return model, preprocessor


# -- parts -----------------------------------------------------------------------------------------
def _join_parts(
    config: Config, sees: str, writes: str, texts: list[str], runs: Path
) -> tuple[VisionEncoderDecoderModel, CaptionPreprocessor, dict[str, str]]:
    encoder, pictures, seeing = _open_encoder(config, sees, runs)
    decoder, tokenizer, writing = _open_decoder(config, writes, texts)
    made = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder.config, decoder.config)
    model = VisionEncoderDecoderModel(config=made, encoder=encoder, decoder=decoder)
    return model, CaptionPreprocessor(pictures, tokenizer), {sees: seeing, writes: writing}


def _open_encoder(
    config: Config, name: str, runs: Path
) -> tuple[PreTrainedModel, PicturePreprocessor, str]:
    """The encoder, how it sees, and its revision on the Hub."""
    if name == NEW:
        pictures = PicturePreprocessor(config.image_size or SIZE)
        made = AutoConfig.for_model(**ENCODER, image_size=pictures.size)
        return AutoModel.from_config(made), pictures, ""
    # of the slot whose checkpoints see pictures
    start, revision = backbone.open_checkpoint(name, runs, "food")
    pictures = PicturePreprocessor.from_checkpoint(start.path)
    made = AutoConfig.from_pretrained(start.path, local_files_only=True)
    pictures = backbone.resize_input(made, pictures, config, name)
    encoder = _open_part(AutoModel, start.path, made, name, config)
    with torch.no_grad():
        try:
            states = encoder(pixel_values=torch.zeros(1, 3, pictures.size, pictures.size))[0]
            fits = states.ndim == 3 and hasattr(encoder.config, "hidden_size")
        except (TypeError, ValueError, RuntimeError):
            fits = False
    if not fits:
        raise SettingsError(
            f"{name} ({made.model_type}) does not give a row of numbers for each place of a "
            "picture, which the decoder attends to. Choose a ViT, DeiT or Swin as the encoder."
        )
    return encoder, pictures, revision


def _open_decoder(
    config: Config, name: str, texts: list[str]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str]:
    """The decoder, its tokenizer, and its revision on the Hub."""
    as_decoder: dict[str, Any] = dict(is_decoder=True, add_cross_attention=True)
    if name == NEW:
        tokenizer = train_tokenizer(texts)
        end = tokenizer.eos_token_id
        made = AutoConfig.for_model(
            **DECODER, **as_decoder, vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end
        )
        return AutoModelForCausalLM.from_config(made), tokenizer, ""
    path, revision = hub.download_model(name)
    made = AutoConfig.from_pretrained(path, local_files_only=True, **as_decoder)
    decoder = _open_part(AutoModelForCausalLM, path, made, name, config)
    if not any("crossattention" in part for part, _ in decoder.named_modules()):
        raise SettingsError(
            f"{name} ({made.model_type}) cannot attend to a picture. Choose GPT-2 or one of its "
            "kin as the decoder."
        )
    return decoder, open_tokenizer(path), revision


def _open_part(
    auto: backbone.AutoClass, path: Path, made: PretrainedConfig, name: str, config: Config
) -> PreTrainedModel:
    if config.method == "scratch":
        return auto.from_config(made)
    try:
        return backbone.load_weights(auto, path, made, name, _is_of_joining)
    except SettingsError:  # a sentence already, though a ValueError too
        raise
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(
            f"{name} cannot be used in a captioner: {str(error).splitlines()[0][:200]}"
        ) from error


def _is_of_joining(_: PreTrainedModel, key: str) -> bool:
    """Whether a part has a weight only where it is joined to another, or none that is used."""
    return any(name in key for name in ("crossattention", "ln_cross_attn", "pooler"))


def configure(
    model: VisionEncoderDecoderModel, tokenizer: PreTrainedTokenizerBase, config: Config
) -> None:
    """Start, end and padding where transformers looks for them, and the dropout asked for."""
    end = tokenizer.eos_token_id
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else end
    for holder in (model.config, model.generation_config):
        holder.decoder_start_token_id = start
        holder.eos_token_id = end
        holder.pad_token_id = tokenizer.pad_token_id
        holder.bos_token_id = start
    model.generation_config.max_length = None
    model.generation_config.max_new_tokens = config.words
    model.generation_config.num_beams = BEAMS
    # Of encoder and decoder, which have none in common.
    model.config.tie_word_embeddings = False
    for part in (get_encoder(model).config, get_decoder(model).config):
        part._name_or_path = ""  # where it lay on this machine, which is published otherwise
    for module in get_decoder(model).modules():
        if isinstance(module, nn.Dropout):
            module.p = config.dropout
    for name in DROPOUTS:
        if hasattr(model.config.decoder, name):
            setattr(model.config.decoder, name, config.dropout)
            setattr(get_decoder(model).config, name, config.dropout)


def get_encoder(model: VisionEncoderDecoderModel) -> PreTrainedModel:
    return cast(PreTrainedModel, model.encoder)  # None only before it is given one


def get_decoder(model: VisionEncoderDecoderModel) -> PreTrainedModel:
    return cast(PreTrainedModel, model.decoder)


# -- what a forward pass is made of ----------------------------------------------------------------
def encode(model: VisionEncoderDecoderModel, pixels: Tensor) -> Tensor:
    """(N, places, width) of (N, 3, S, S)."""
    return get_encoder(model)(pixel_values=pixels)[0]


def bridge(model: VisionEncoderDecoderModel, states: Tensor) -> Tensor:
    """The same in the decoder's width, where it has another."""
    return model.enc_to_dec_proj(states) if hasattr(model, "enc_to_dec_proj") else states


class Generation(TypedDict, total=False):
    """What `generate` takes in place of a picture."""

    encoder_outputs: BaseModelOutput
    attention_mask: Tensor
    max_new_tokens: int


def prepare_generation(model: VisionEncoderDecoderModel, states: Tensor) -> Generation:
    """What `generate` takes in place of a picture, every place of which counts; and an end, where
    the checkpoint does not say how long its captions may be."""
    own = model.generation_config
    found: Generation = {
        "encoder_outputs": BaseModelOutput(states),
        "attention_mask": torch.ones(states.shape[:2], dtype=torch.long, device=states.device),
    }
    if not own.max_new_tokens and not own.max_length:
        found["max_new_tokens"] = WORDS
    return found


def pad(rows: list[list[int]], start: int, pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of N sentences what the decoder reads, what it is to write, (N, L), and where that is a
    word."""
    longest = max(map(len, rows))
    write = torch.tensor([ids + [pad] * (longest - len(ids)) for ids in rows])
    real = torch.arange(longest)[None] < torch.tensor([len(ids) for ids in rows])[:, None]
    return torch.cat([torch.full_like(write[:, :1], start), write[:, :-1]], 1), write, real


class Parts(nn.ModuleList):
    """Parts of a captioner that learn together. They are no layers of one another, as those of a
    plain ModuleList are (training/learn/optimizers.py)."""


class Teller(nn.Module):
    """A captioner as training runs it: a picture's captions share its encoding, and words are
    guessed only where a caption has one. With `naming`, a second head names the captions' words
    from the encoder alone."""

    def __init__(
        self, model: nn.Module, net: VisionEncoderDecoderModel, names: tuple[str, ...] = ()
    ):
        super().__init__()
        self.names = names
        # the captioner itself, inside what LoRA puts around it
        self.model = model
        self.net = [net]
        self.config = net.config
        self.namer = nn.Linear(get_encoder(net).config.hidden_size, len(names)) if names else None

    def forward(
        self, given: Tensor, ids: Tensor, real: Tensor, each: int, encoded: bool
    ) -> tuple[Tensor, Tensor | None]:
        """`given`: pixels or, with `encoded`, what the encoder made of them; `ids`: (N * each, L);
        `real`: where there is a next word, as wide. Returns logits of those places, and of the
        names, (N, names), or None."""
        net = self.net[0]
        states = given if encoded else encode(net, given)
        named = self.namer(states.mean(1)) if self.namer is not None else None
        attended = bridge(net, states).repeat_interleave(each, 0)
        decoder = get_decoder(net)
        hidden = decoder.base_model(
            input_ids=ids, encoder_hidden_states=attended, use_cache=False
        ).last_hidden_state
        head = cast(nn.Module, decoder.get_output_embeddings())
        return head(hidden[real]), named
