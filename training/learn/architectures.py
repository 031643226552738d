"""Small networks for pictures, as configs of transformers: what method scratch makes anew."""

from typing import Any

# Networks for method scratch. Small ones: at most 7 million weights, 13 MB in half precision. The
# large one, of 49 million, is for a GPU: it takes eight times the work, and can teach a small one.
ARCHS: dict[str, dict[str, Any]] = {
    "resnet": dict(
        model_type="resnet",
        layer_type="basic",
        embedding_size=32,
        hidden_sizes=[32, 96, 256, 480],
        depths=[1, 2, 2, 1],
    ),
    "resnet-large": dict(
        model_type="resnet",
        layer_type="basic",
        embedding_size=64,
        hidden_sizes=[64, 192, 512, 960],
        depths=[2, 3, 4, 2],
    ),
    "regnet": dict(
        model_type="regnet",
        layer_type="y",
        embedding_size=32,
        hidden_sizes=[64, 128, 256, 512],
        depths=[1, 2, 4, 2],
        groups_width=32,
        downsample_in_first_stage=False,
    ),
    "convnext": dict(
        model_type="convnext", patch_size=4, hidden_sizes=[64, 128, 256, 384], depths=[2, 2, 6, 2]
    ),
    "vit": dict(
        model_type="vit",
        patch_size=8,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=7,
        num_attention_heads=4,
    ),
    "swin": dict(
        model_type="swin",
        embed_dim=64,
        depths=[2, 2, 6],
        num_heads=[2, 4, 8],
        window_size=4,
        patch_size=4,
        mlp_ratio=3.0,
        drop_path_rate=0.05,
    ),  # the captioning recipe's encoder, to be taught beforehand
}
SIZE = 64  # of these networks, where no image size is asked for
