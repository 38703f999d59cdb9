"""Models for docling-serve in the lab: of the right shape, made by this code, and without anything learnt.

The layout model says of each page that it is one text. The table model is loaded and finds no cell; it is never asked,
since the layout model finds no table. OCR's models are real: RapidOCR's wheel brings them along.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

PATH: Final = "/opt/app-root/src/.cache/docling/models"
"""Where the real image keeps its models and looks for them."""
LAYOUT: Final = "docling-project--docling-layout-heron"
TABLES: Final = "docling-project--docling-models/model_artifacts/tableformer/accurate"
OCR: Final = "RapidOcr"
_LABELS: Final = (
    *("caption", "footnote", "formula", "list_item", "page_footer", "page_header", "picture", "section_header"),
    *("table", "text", "title", "document_index", "code", "checkbox_selected", "checkbox_unselected", "form"),
    "key_value_region",
)
_WIDTH: Final = 16
"""Of all layers of the layout model."""
_SIDE: Final = 64
"""Pixels that a page is scaled to for it: it does not look at them."""
_EDGE: Final = 11.5129
"""Logit of a coordinate at the edge of the page: the decoder cuts at a hundred thousandth from it."""
_TAGS: Final = (
    *("<pad>", "<unk>", "<start>", "<end>", "ecel", "fcel", "lcel", "ucel", "xcel", "nl", "ched", "rhed", "srow"),
)
_DEEP: Final = 512
"""Width of the table model, which its code fixes, as it does those of its picture encoder."""
_INNER: Final = 1024

Tensors = Iterator[tuple[str, Sequence[int], Sequence[float]]]
"""Name, shape and numbers; no numbers are zeros."""


def files() -> Mapping[str, bytes]:
    """Path below the models' folder -> content."""
    return {
        f"{LAYOUT}/config.json": _json(_layout()),
        f"{LAYOUT}/preprocessor_config.json": _json(
            {
                "image_processor_type": "RTDetrImageProcessor",
                "do_resize": True,
                "size": {"height": _SIDE, "width": _SIDE},
                "do_rescale": True,
                "do_normalize": False,
                "do_pad": False,
            }
        ),
        f"{LAYOUT}/model.safetensors": safetensors(_heads(), "F32"),
        f"{TABLES}/tm_config.json": _json(_tables()),
        f"{TABLES}/tableformer_accurate.safetensors": safetensors(_table_weights(), "F16"),
    }


def write(folder: Path, ocr: str) -> None:
    """Write the models; OCR's become a link to `ocr`."""
    for name, content in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / OCR).symlink_to(ocr)


def safetensors(tensors: Tensors, kind: str) -> bytes:
    """The format: the length of a JSON header, the header, and the numbers (`kind`: F32 or F16)."""
    letter, size = {"F32": ("f", 4), "F16": ("e", 2)}[kind]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, shape, numbers in tensors:
        start, count = len(data), 1
        for length in shape:
            count *= length
        data += struct.pack(f"<{len(numbers)}{letter}", *numbers) if numbers else bytes(count * size)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def _layout() -> Mapping[str, object]:
    """RT-DETR's second version, as small as its library makes it."""
    return {
        "architectures": ["RTDetrV2ForObjectDetection"],
        "model_type": "rt_detr_v2",
        "backbone_config": {
            "model_type": "rt_detr_resnet",
            "depths": [1, 1, 1, 1],
            "embedding_size": 8,
            "hidden_sizes": [8, 8, 8, 8],
            "layer_type": "basic",
            "out_indices": [2, 3, 4],
        },
        "d_model": _WIDTH,
        "encoder_hidden_dim": _WIDTH,
        "encoder_in_channels": [8, 8, 8],
        "encoder_ffn_dim": _WIDTH,
        "encoder_attention_heads": 2,
        "decoder_in_channels": [_WIDTH] * 3,
        "decoder_ffn_dim": _WIDTH,
        "decoder_attention_heads": 2,
        "decoder_layers": 2,
        "num_queries": 1,
        "num_denoising": 0,
        "id2label": {str(place): label for place, label in enumerate(_LABELS)},
        "label2id": {label: place for place, label in enumerate(_LABELS)},
    }


def _heads() -> Tensors:
    """What the decoder's two layers answer whatever they are given; the library fills the rest with chance.

    The first layer moves each coordinate to its edge, the second from there: the middle, and the whole page.
    """
    moves = ((30.0,) * 4, (-_EDGE, -_EDGE, 0.0, 0.0))
    sure = [10.0 if label == "text" else -10.0 for label in _LABELS]
    for layer, move in enumerate(moves):
        at = f"model.decoder.bbox_embed.{layer}.layers.2"
        yield f"{at}.weight", (4, _WIDTH), ()
        yield f"{at}.bias", (4,), move
        yield f"model.decoder.class_embed.{layer}.weight", (len(_LABELS), _WIDTH), ()
        yield f"model.decoder.class_embed.{layer}.bias", (len(_LABELS),), sure


def _tables() -> Mapping[str, object]:
    return {
        "dataset": {
            "type": "TF_prepared",
            "name": "TF",
            "image_normalization": {"state": True, "mean": [0.9, 0.9, 0.9], "std": [0.2, 0.2, 0.2]},
            "resized_image": 448,
        },
        "dataset_wordmap": {
            "word_map_tag": {tag: place for place, tag in enumerate(_TAGS)},
            "word_map_cell": {"<pad>": 0},
        },
        "model": {
            "type": "TableModel04_rs",
            "name": "14_128_256_4_true",
            "enc_image_size": 28,
            "tag_embed_dim": 16,
            "hidden_dim": _DEEP,
            "tag_decoder_dim": _DEEP,
            "bbox_embed_dim": 256,
            "tag_attention_dim": 256,
            "bbox_attention_dim": _DEEP,
            "enc_layers": 1,
            "dec_layers": 1,
            "nheads": 8,
            "dropout": 0.1,
            "bbox_classes": 2,
        },
        "train": {"bbox": True},
        "predict": {"max_steps": 16, "beam_size": 1, "bbox": True, "pdf_cell_iou_thres": 0.05},
    }


def _table_weights() -> Tensors:
    """Zeros, and a decoder that ends at once."""
    yield from _convolution("_encoder._resnet.0", 64, 3, 7)
    yield from _norm("_encoder._resnet.1", 64)
    widths = (64, 64, 128, 256)
    for stage in (1, 2, 3):
        yield from _block(f"_encoder._resnet.{stage + 3}", widths[stage - 1], widths[stage])
    tags = "_tag_transformer"
    yield f"{tags}._embedding.weight", (len(_TAGS), _DEEP), ()
    yield f"{tags}._positional_encoding.pe", (1024, 1, _DEEP), ()
    yield from _attention(f"{tags}._encoder.layers.0", ("self_attn",))
    yield from _attention(f"{tags}._decoder.layers.0", ("self_attn", "multihead_attn"))
    yield from _block(f"{tags}._input_filter", 256, _DEEP)
    yield f"{tags}._fc.weight", (len(_TAGS), _DEEP), ()
    yield f"{tags}._fc.bias", (len(_TAGS),), [float(tag == "<end>") for tag in _TAGS]
    boxes = "_bbox_decoder"
    yield from _block(f"{boxes}._input_filter", 256, _DEEP)
    for name in ("_attention._encoder_att", "_attention._tag_decoder_att", "_attention._language_att"):
        yield from _linear(f"{boxes}.{name}", _DEEP, _DEEP)
    yield from _linear(f"{boxes}._attention._full_att", 1, _DEEP)
    for name in ("_init_h", "_f_beta"):
        yield from _linear(f"{boxes}.{name}", _DEEP, _DEEP)
    yield from _linear(f"{boxes}._class_embed", 3, _DEEP)
    for layer, (outer, inner) in enumerate(((256, _DEEP), (256, 256), (4, 256))):
        yield from _linear(f"{boxes}._bbox_embed.layers.{layer}", outer, inner)


def _linear(at: str, outer: int, inner: int) -> Tensors:
    yield f"{at}.weight", (outer, inner), ()
    yield f"{at}.bias", (outer,), ()


def _convolution(at: str, outer: int, inner: int, side: int) -> Tensors:
    yield f"{at}.weight", (outer, inner, side, side), ()


def _norm(at: str, width: int) -> Tensors:
    for name in ("weight", "bias", "running_mean", "running_var"):
        yield f"{at}.{name}", (width,), ()
    yield f"{at}.num_batches_tracked", (), ()


def _block(at: str, inner: int, outer: int) -> Tensors:
    """Two basic blocks of a ResNet; the first makes the picture deeper."""
    for place, width in ((0, inner), (1, outer)):
        for number, depth in ((1, width), (2, outer)):
            yield from _convolution(f"{at}.{place}.conv{number}", outer, depth, 3)
            yield from _norm(f"{at}.{place}.bn{number}", outer)
    if inner != outer:
        yield from _convolution(f"{at}.0.downsample.0", outer, inner, 1)
        yield from _norm(f"{at}.0.downsample.1", outer)


def _attention(at: str, names: Iterable[str]) -> Tensors:
    """A layer of PyTorch's transformer."""
    count = 1
    for name in names:
        yield f"{at}.{name}.in_proj_weight", (3 * _DEEP, _DEEP), ()
        yield f"{at}.{name}.in_proj_bias", (3 * _DEEP,), ()
        yield from _linear(f"{at}.{name}.out_proj", _DEEP, _DEEP)
        count += 1
    yield from _linear(f"{at}.linear1", _INNER, _DEEP)
    yield from _linear(f"{at}.linear2", _DEEP, _INNER)
    for number in range(1, count + 1):
        yield f"{at}.norm{number}.weight", (_DEEP,), ()
        yield f"{at}.norm{number}.bias", (_DEEP,), ()
