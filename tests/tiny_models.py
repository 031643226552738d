"""Tiny networks with random weights, of each kind that a published model may be, laid out as the
Hub has them. They know nothing; they load and answer."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers as t

SMALL: dict[str, Any] = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
)
SIDE = 32
SQUARE = {"height": SIDE, "width": SIDE}
LOOK: dict[str, Any] = dict(**SMALL, image_size=SIDE, patch_size=8)
CONVOLVED: dict[str, Any] = dict(
    conv_dim=(32,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4
)


def labels(count: int) -> dict[str, Any]:
    names = [f"thing {i}" for i in range(count)]
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}


def sees(**more: Any) -> t.ViTImageProcessor:
    return t.ViTImageProcessor(size=SQUARE, image_mean=[0.5] * 3, image_std=[0.5] * 3, **more)


def vit(classes: int = 3) -> list[Any]:
    return [t.ViTForImageClassification(t.ViTConfig(**LOOK, **labels(classes))), sees()]


def headless() -> list[Any]:
    return [t.ViTModel(t.ViTConfig(**LOOK)), sees()]


def resnet() -> list[Any]:
    made = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], **labels(3))
    processor = t.ConvNextImageProcessor(size={"shortest_edge": SIDE}, crop_pct=0.875)
    return [t.ResNetForImageClassification(made), processor]


def swin() -> list[Any]:
    made = t.SwinConfig(
        image_size=SIDE, patch_size=2, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4,
        **labels(3),
    )  # fmt: skip
    return [t.SwinForImageClassification(made), sees()]


def dinov2() -> list[Any]:
    return [t.Dinov2ForImageClassification(t.Dinov2Config(**LOOK, **labels(3))), sees()]


def spell() -> list[str]:
    letters = [chr(c) for c in range(33, 127)]
    return [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]


def clip() -> list[Any]:
    vocab = {piece: i for i, piece in enumerate(spell())}
    ends = dict(bos_token_id=vocab["<|startoftext|>"], eos_token_id=vocab["<|endoftext|>"])
    made = t.CLIPConfig(
        text_config=dict(**SMALL, vocab_size=len(vocab), **ends),
        vision_config=LOOK,
        projection_dim=16,
    )
    processor = t.CLIPProcessor(
        t.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SQUARE),
        t.CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77),
    )
    return [t.CLIPModel(made), processor]


def siglip() -> list[Any]:
    made = t.SiglipConfig(
        text_config=dict(**SMALL, vocab_size=len(pieces()), max_position_embeddings=64),
        vision_config=LOOK,
    )
    processor = t.SiglipImageProcessor(size=SQUARE)
    return [t.SiglipModel(made), processor, words()]


def pieces() -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", ".", ","]
    return [*marks, *letters, *("##" + c for c in letters)]


def words() -> t.BertTokenizer:
    vocab = {piece: i for i, piece in enumerate(pieces())}
    return t.BertTokenizer(vocab=vocab, do_lower_case=True, model_max_length=64)


def blip() -> list[Any]:
    text = dict(**SMALL, vocab_size=len(pieces()), encoder_hidden_size=32)
    text |= dict(bos_token_id=5, pad_token_id=0, eos_token_id=3, sep_token_id=3)
    made = t.BlipConfig(text_config=text, vision_config=LOOK)
    processor = t.BlipProcessor(t.BlipImageProcessor(size=SQUARE), words())
    return [t.BlipForConditionalGeneration(made), processor]


def git() -> list[Any]:
    made = t.GitConfig(
        vision_config=LOOK,
        vocab_size=len(pieces()),
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
        **SMALL,
    )
    pictures = t.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    return [t.GitForCausalLM(made), t.GitProcessor(pictures, words())]


def vit_gpt2() -> list[Any]:
    tokenizer = words()
    tokenizer.add_special_tokens({"bos_token": "[CLS]", "eos_token": "[SEP]"})
    ends = dict(bos_token_id=2, eos_token_id=3)
    decoder = t.GPT2Config(
        n_embd=32, n_layer=2, n_head=2, vocab_size=len(pieces()), is_decoder=True,
        add_cross_attention=True, **ends,
    )  # fmt: skip
    encoder = t.ViTModel(t.ViTConfig(**LOOK))
    model = t.VisionEncoderDecoderModel(encoder=encoder, decoder=t.GPT2LMHeadModel(decoder))
    for holder in (model.config, model.generation_config):
        holder.decoder_start_token_id = 2
        holder.pad_token_id = 0
        holder.eos_token_id = 3
    return [model, sees(), tokenizer]


# How a chat is written down, as those have it that are spoken to.
CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}:"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def letters(*marks: str) -> t.PreTrainedTokenizerFast:
    """A tokenizer of single characters, and of marks that are none."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    found = ["<unk>", "<s>", "</s>", "<pad>", *marks, *map(chr, range(32, 127)), "\n"]
    vocab = {piece: i for i, piece in enumerate(found)}
    made = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = decoders.Fuse()
    named = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    return t.PreTrainedTokenizerFast(
        tokenizer_object=made, additional_special_tokens=[*marks], **named
    )


def writes(tokenizer: t.PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """The config of a language model with these words."""
    ends = {each: getattr(tokenizer, each) for each in ("bos_token_id", "eos_token_id")}
    rest = dict(num_key_value_heads=2, vocab_size=len(tokenizer), max_position_embeddings=4096)
    return SMALL | rest | ends | {"pad_token_id": tokenizer.pad_token_id} | more


def smolvlm() -> list[Any]:
    words = letters("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
    size = dict(size={"longest_edge": 4 * SIDE}, max_image_size={"longest_edge": SIDE})
    made = t.SmolVLMConfig(
        text_config=writes(words, model_type="llama"),
        vision_config=LOOK,
        scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
    )
    processor = t.SmolVLMProcessor(
        t.SmolVLMImageProcessor(**size),
        words,
        t.SmolVLMVideoProcessor(**size, fps=1, num_frames=8),
        image_seq_len=4,
        chat_template=CHAT,
    )
    return [t.SmolVLMForConditionalGeneration(made), processor]


def llava() -> list[Any]:
    words = letters("<image>")
    made = t.LlavaConfig(
        text_config=writes(words, model_type="llama"),
        vision_config=LOOK | {"model_type": "clip_vision_model"},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
    )
    processor = t.LlavaProcessor(
        t.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SQUARE),
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    return [t.LlavaForConditionalGeneration(made), processor]


def qwen2_vl() -> list[Any]:
    words = letters("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    turns = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    places = ("image_pad", "video_pad", "vision_start", "vision_end")
    named = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    made = t.Qwen2VLConfig(
        text_config=writes(words, rope_parameters=turns),
        vision_config=dict(
            depth=2, embed_dim=32, hidden_size=32, num_heads=2, patch_size=8, mlp_ratio=2
        ),
        **{
            name: words.convert_tokens_to_ids(f"<|{place}|>")
            for name, place in zip(named, places, strict=True)
        },
    )
    processor = t.Qwen2VLProcessor(
        t.Qwen2VLImageProcessor(patch_size=8),
        words,
        t.Qwen2VLVideoProcessor(patch_size=8),
        chat_template=CHAT.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return [t.Qwen2VLForConditionalGeneration(made), processor]


def hears(**more: Any) -> t.Wav2Vec2FeatureExtractor:
    return t.Wav2Vec2FeatureExtractor(return_attention_mask=False, **more)


def wav2vec2(rate: int = 16_000) -> list[Any]:
    made = t.Wav2Vec2Config(**SMALL, **CONVOLVED, **labels(4))
    return [t.Wav2Vec2ForSequenceClassification(made), hears(sampling_rate=rate)]


def hubert() -> list[Any]:
    made = t.HubertConfig(**SMALL, **CONVOLVED, **labels(4))
    return [t.HubertForSequenceClassification(made), hears()]


def wavlm() -> list[Any]:
    made = t.WavLMConfig(**SMALL, **CONVOLVED, **labels(4))
    return [t.WavLMForSequenceClassification(made), hears()]


def ast() -> list[Any]:
    hears_so = dict(max_length=128, num_mel_bins=64)
    made = t.ASTConfig(**SMALL, **hears_so, **labels(4))
    return [t.ASTForAudioClassification(made), t.ASTFeatureExtractor(**hears_so)]


def whisper() -> list[Any]:
    made = t.WhisperConfig(
        d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=64,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=64, max_source_positions=100,
        **labels(4),
    )  # fmt: skip
    return [t.WhisperForAudioClassification(made), t.WhisperFeatureExtractor(chunk_length=2)]


def wav2vec2_bert() -> list[Any]:
    made = t.Wav2Vec2BertConfig(**SMALL, **labels(4))
    return [t.Wav2Vec2BertForSequenceClassification(made), t.SeamlessM4TFeatureExtractor()]


PICTURES = [vit, resnet, swin, dinov2]
ZERO_SHOT = [clip, siglip]
CAPTIONS = [vit_gpt2, blip, git]
CHATS = [smolvlm, llava, qwen2_vl]
SOUNDS = [wav2vec2, hubert, wavlm, ast, whisper, wav2vec2_bert]


def lay_out(root: Path, name: str, parts: list[Any]) -> Path:
    """Saves what a model is made of as `owner/name`; its folder."""
    folder = root / name
    for part in parts:
        part.save_pretrained(folder)
    return folder


def name_kind(make: Any) -> str:
    """What publish_all calls it."""
    return f"tiny/{make.__name__.replace('_', '-')}"


def publish_all(root: Path) -> None:
    """One of each kind, as `tiny/KIND`."""
    torch.manual_seed(0)
    for make in (*PICTURES, *ZERO_SHOT, *CAPTIONS, *CHATS, *SOUNDS, headless):
        lay_out(root, name_kind(make), make())
    lay_out(
        root, "tiny/ten", [t.ViTForImageClassification(t.ViTConfig(**LOOK, num_labels=10)), sees()]
    )


def change_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
