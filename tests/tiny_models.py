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
SOUNDS = [wav2vec2, hubert, wavlm, ast, whisper, wav2vec2_bert]


def lay_out(root: Path, name: str, parts: list[Any]) -> Path:
    """Saves what a model is made of as `owner/name`; its folder."""
    folder = root / name
    for part in parts:
        part.save_pretrained(folder)
    return folder


def publish_all(root: Path) -> None:
    """One of each kind, as `tiny/KIND`."""
    torch.manual_seed(0)
    for make in (*PICTURES, *ZERO_SHOT, *CAPTIONS, *SOUNDS, headless):
        lay_out(root, f"tiny/{make.__name__.replace('_', '-')}", make())
    lay_out(root, "tiny/ten", vit(10))


def change_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
