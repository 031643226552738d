"""The networks of the captioning recipe: an encoder and a decoder joined, a whole captioner opened,
a small one made.

Joined or whole, it is transformers' VisionEncoderDecoderModel: the encoder makes a row of numbers
for each place of the picture, and the decoder attends to them for every word. A BLIP is the same
under other names (Li et al. 2022, arXiv 2201.12086): a ViT, and a BERT that writes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
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
# Parts of a joined captioner that neither its encoder nor its decoder had.
NEW_PARTS = (".crossattention", ".ln_cross_attn", "enc_to_dec_proj")
BLIP = "blip"  # transformers' family
Captioner: TypeAlias = VisionEncoderDecoderModel | BlipForConditionalGeneration
DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")


@dataclass
class CaptionPreprocessor:
    """How a captioner sees, and its words."""

    pictures: PicturePreprocessor
    tokenizer: PreTrainedTokenizerBase
    blip: bool = False  # whether it is kept as a BLIP's is

    @classmethod
    def from_checkpoint(cls, path: Path) -> "CaptionPreprocessor":
        """Raises CheckpointError."""
        made = cls(PicturePreprocessor.from_checkpoint(path), open_tokenizer(path), is_blip(path))
        if made.blip:
            made.tokenizer.eos_token = made.tokenizer.sep_token
        return made

    def save_pretrained(self, path: Path) -> None:
        if self.blip:
            seen = self.pictures.processor()
            pictures = BlipImageProcessor(
                size=seen.size, image_mean=seen.image_mean, image_std=seen.image_std
            )
            BlipProcessor(pictures, self.tokenizer).save_pretrained(path)
            return
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
        tokenizer.eos_token = tokenizer.sep_token or END  # as BERT's sentences end
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
    """Whether a checkpoint is of one of the two kinds that learn here."""
    return checkpoint.config(path).get("model_type") == "vision-encoder-decoder" or is_blip(path)


def is_blip(path: Path) -> bool:
    """One that writes: others answer questions, or compare."""
    found = checkpoint.config(path)
    named = found.get("architectures") or []
    writes = isinstance(named, list) and BlipForConditionalGeneration.__name__ in named
    return found.get("model_type") == BLIP and writes


def find_class(path: Path) -> type[PreTrainedModel]:
    """The network's, of transformers."""
    return BlipForConditionalGeneration if is_blip(path) else VisionEncoderDecoderModel


def open_network(path: Path) -> tuple[Captioner, CaptionPreprocessor]:
    """A checkpoint as float32, and how it sees and spells."""
    model = find_class(path).from_pretrained(
        path, use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    return cast(Captioner, model), CaptionPreprocessor.from_checkpoint(path)


def find_start(config: Config, runs: Path, slot: str) -> Start:
    """What a captioner starts from: a checkpoint, or two parts. Raises SettingsError,
    CheckpointError."""
    if config.parts:
        return Start(" + ".join(config.parts))
    return backbone.find_start(config, runs, slot)


def build_network(
    config: Config, start: Start, texts: list[str], runs: Path
) -> tuple[Captioner, CaptionPreprocessor, dict[str, str]]:
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


def _open_start(config: Config, start: Checkpoint) -> tuple[Captioner, CaptionPreprocessor]:
    if not is_captioner(start.path):
        raise SettingsError(
            f"{start.name} is no captioner of an encoder and a decoder, and no BLIP that writes: "
            "choose another start, or start parts, and name it as the encoder."
        )
    preprocessor = CaptionPreprocessor.from_checkpoint(start.path)
    try:
        made = AutoConfig.from_pretrained(start.path, local_files_only=True)
        preprocessor.pictures = backbone.resize_input(
            made.vision_config if preprocessor.blip else made.encoder,
            preprocessor.pictures,
            config,
            start.name,
        )
        if not preprocessor.blip:
            made.decoder.is_decoder = True
            made.decoder.add_cross_attention = True
        kind = find_class(start.path)
        if config.method == "scratch":
            return cast(Captioner, kind(made).float()), preprocessor
        model = backbone.load_weights(kind, start.path, made, start.name, lambda *_: False)
        assert isinstance(model, Captioner)
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
) -> tuple[Captioner, CaptionPreprocessor, dict[str, str]]:
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


def configure(model: Captioner, tokenizer: PreTrainedTokenizerBase, config: Config) -> None:
    """Start, end and padding where transformers looks for them, and the dropout asked for."""
    own = model.generation_config
    assert own is not None
    own.max_length = None
    own.max_new_tokens = config.words
    own.num_beams = BEAMS
    for part in (get_encoder(model).config, get_decoder(model).config):
        part._name_or_path = ""  # where it lay on this machine, which is published otherwise
    for module in get_decoder(model).modules():
        if isinstance(module, nn.Dropout):
            module.p = config.dropout
    if isinstance(model, BlipForConditionalGeneration):  # its config says where its words begin
        return
    end = tokenizer.eos_token_id
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else end
    for holder in (model.config, own):
        holder.decoder_start_token_id = start
        holder.eos_token_id = end
        holder.pad_token_id = tokenizer.pad_token_id
        holder.bos_token_id = start
    # Of encoder and decoder, which have none in common.
    model.config.tie_word_embeddings = False
    for name in DROPOUTS:
        if hasattr(model.config.decoder, name):
            setattr(model.config.decoder, name, config.dropout)
            setattr(get_decoder(model).config, name, config.dropout)


def get_encoder(model: Captioner) -> PreTrainedModel:
    if isinstance(model, BlipForConditionalGeneration):
        return model.vision_model
    return cast(PreTrainedModel, model.encoder)  # None only before it is given one


def get_decoder(model: Captioner) -> PreTrainedModel:
    if isinstance(model, BlipForConditionalGeneration):
        return model.text_decoder
    return cast(PreTrainedModel, model.decoder)


def find_begin(model: Captioner) -> int:
    """The number that stands before a caption's first word."""
    if isinstance(model, BlipForConditionalGeneration):
        return _get_text_config(model).bos_token_id
    return cast(int, model.config.decoder_start_token_id)


def _get_text_config(model: BlipForConditionalGeneration) -> Any:
    """Any: as transformers declares it, it could be none yet."""
    return model.config.text_config


def list_learning(model: Captioner) -> list[nn.Module]:
    """What method frozen trains: all but the encoder."""
    return [part for part in model.children() if part is not get_encoder(model)]


def add_lora(model: PreTrainedModel, config: Config) -> nn.Module:
    """What a joined captioner has of its own is new, and learns whole."""
    new = [name for name, _ in model.named_modules() if name.endswith(NEW_PARTS)]
    return backbone.add_lora(model, config.lora_rank, new if config.joins else [])


# -- what a forward pass is made of ----------------------------------------------------------------
def encode(model: Captioner, pixels: Tensor) -> Tensor:
    """(N, places, width) of (N, 3, S, S)."""
    return get_encoder(model)(pixel_values=pixels)[0]


def bridge(model: Captioner, states: Tensor) -> Tensor:
    """The same in the decoder's width, where it has another."""
    project = getattr(model, "enc_to_dec_proj", None)
    return project(states) if project is not None else states


class Generation(TypedDict, total=False):
    """What `generate` takes in place of a picture."""

    encoder_outputs: BaseModelOutput
    attention_mask: Tensor
    max_new_tokens: int
    input_ids: Tensor
    encoder_hidden_states: Tensor
    eos_token_id: int
    pad_token_id: int


def generate(model: Captioner, states: Tensor, **how: Any) -> Any:
    """What `generate` of transformers gives, of what the encoder made of pictures; `how`: as it
    takes it."""
    writes = get_decoder(model) if isinstance(model, BlipForConditionalGeneration) else model
    # Any: transformers declares what `generate` is called on as more than its networks declare.
    return cast(Any, writes).generate(**prepare_generation(model, states), **how)


def prepare_generation(model: Captioner, states: Tensor) -> Generation:
    """What `generate` takes in place of a picture, every place of which counts; and an end, where
    the checkpoint does not say how long its captions may be."""
    own = model.generation_config
    assert own is not None
    if isinstance(model, BlipForConditionalGeneration):  # its decoder alone is asked
        text = _get_text_config(model)
        begin = torch.full((len(states), 1), find_begin(model), device=states.device)
        return {
            "input_ids": begin,
            "attention_mask": torch.ones_like(begin),
            "encoder_hidden_states": states,
            "eos_token_id": text.sep_token_id,
            "pad_token_id": text.pad_token_id,
            "max_new_tokens": own.max_new_tokens or WORDS,
        }
    found: Generation = {
        "encoder_outputs": BaseModelOutput(states),
        "attention_mask": torch.ones(states.shape[:2], dtype=torch.long, device=states.device),
    }
    if not own.max_new_tokens and not own.max_length:
        found["max_new_tokens"] = WORDS
    return found


def guess(model: Captioner, ids: Tensor, attended: Tensor, real: Tensor) -> Tensor:
    """Logits, (words, vocabulary), of the next word at the `real` places of (N, L) ids; `attended`:
    what the encoder made of each sentence's picture."""
    decoder: Any = get_decoder(model)
    given = {"input_ids": ids, "encoder_hidden_states": attended, "use_cache": False}
    if isinstance(model, BlipForConditionalGeneration):
        hidden = decoder.bert(**given, is_decoder=True).last_hidden_state
        return decoder.cls(hidden[real])
    hidden = decoder.base_model(**given).last_hidden_state
    return decoder.get_output_embeddings()(hidden[real])


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

    def __init__(self, model: nn.Module, net: Captioner, names: tuple[str, ...] = ()):
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
        return guess(net, ids, attended, real), named
