"""The image processor of a transformers folder as tensor operations, so that an attack lives in the user's own pixels.

Size, filter, crop, mean and std are read from preprocessor_config.json (or processor_config.json) by transformers, and
done again here: resize and crop in [0, 1], then one affine map a channel. What we make of a folder is compared with
what its own processor makes of two images before anyone uses it, so a processor with a step of its own is refused,
never followed half-way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.models.auto.image_processing_auto import AutoImageProcessor  # transformers 5.17 hides the short name

from vlmkit.core.errors import InputError
from vlmkit.core.io.progress import log
from vlmkit.core.models.load import FAULTS, gist, quiet
from vlmkit.core.ops.resample import resize
from vlmkit.core.shapes import dims

FILES = ("preprocessor_config.json", "processor_config.json")
FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
TOLERANCE = 1.5 / 255  # of a pixel; Pillow rounds twice, at most 1.14 / 255 together (measured over 600 sizes)
PROBES = ((53, 37), (260, 390))  # sizes of the two images: one that grows, one that shrinks

Size = tuple[int, int]
Settings = Mapping[str, object]


@dataclass(frozen=True)
class Preprocessing:
    """From pixels (B, C, Y, X) in [0, 1] to what a model takes.

    Attributes:
        target: from the size (Y, X) of an image to the one it is resized to; None leaves it.
        resample: Pillow's number of the filter.
        crop: size (Y, X) cut from the centre, with black around what is too small; None leaves it.
        gain, shift: one for each channel: the model takes gain * pixels + shift.
        flipped: channels in the order blue, green, red.
    """

    target: Callable[[int, int], Size] | None = None
    resample: int = 2
    crop: Size | None = None
    gain: tuple[float, ...] = (1.0,)
    shift: tuple[float, ...] = (0.0,)
    flipped: bool = False

    def __call__(self, pixels: Tensor) -> Tensor:
        """Pixels (B, C, Y, X) in [0, 1] as the model takes them."""
        sizes = dims("B C Y X", pixels=pixels)
        with torch.autocast(pixels.device.type, enabled=False):
            if self.target is not None:
                pixels = resize(pixels, self.target(sizes["Y"], sizes["X"]), resample=self.resample)
            if self.crop is not None:
                pixels = center_crop(pixels, self.crop)
            if self.flipped:
                pixels = pixels.flip(1)
            gain, shift = affine(self.gain, self.shift, pixels.device, pixels.dtype)
            return pixels * gain + shift

    def __str__(self) -> str:
        height, width = self.target(480, 640) if self.target else (0, 0)
        steps = [f"resize ({FILTERS[self.resample]}, 480x640 becomes {height}x{width})"] if self.target else []
        steps += [f"crop {self.crop[0]}x{self.crop[1]}"] if self.crop else []
        gains, shifts = (", ".join(f"{one:.4g}" for one in some) for some in (self.gain, self.shift))
        return "; ".join([*steps, *(["blue first"] if self.flipped else []), f"({gains}) x + ({shifts})"])


@lru_cache(maxsize=16)
def affine(
    gain: tuple[float, ...], shift: tuple[float, ...], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Gain and shift as tensors (C, 1, 1), kept on the device."""
    with torch.inference_mode(False):
        made = torch.tensor([gain, shift], dtype=dtype)[:, :, None, None].to(device)
    return made[0], made[1]


def read_preprocessing(folder: Path, config: PreTrainedConfig, *, channels: int) -> Preprocessing:
    """What the image processor of a folder does; where there is none, pixels go in as they are, with a warning.

    Raises:
        InputError: the file is damaged, or the processor does what cannot be followed.
    """
    if not any((folder / name).is_file() for name in FILES):
        log.warning(
            "%s has no preprocessor_config.json: the model is given pixels in [0, 1] as they are, "
            "neither resized nor normalised; if it was trained otherwise, put the file there",
            folder,
        )
        return Preprocessing()
    where = str(next(folder / name for name in FILES if (folder / name).is_file()))
    with quiet():
        try:
            processor = AutoImageProcessor.from_pretrained(
                folder, config=config, backend="pil", local_files_only=True, trust_remote_code=False
            )
            settings: Settings = {name: getattr(processor, name, None) for name in ATTRIBUTES}
            found = translate(type(processor).__name__.removesuffix("Pil"), settings, channels=channels, where=where)
            wrong = disagreement(processor, found, settings, channels=channels)
        except FAULTS as error:
            raise InputError(
                f"this image processor cannot be used: {gist(error)}",
                where=where,
                fix="give the file that transformers wrote for this model",
            ) from error
    if not wrong <= TOLERANCE:  # not a number either
        raise InputError(
            f"{type(processor).__name__} does more than resize, crop and normalise (it differs by {wrong:.3f})",
            where=where,
            fix="wrap the model in a function of pixels in [0, 1]: FILE.py:FUNCTION",
        )
    return found


ATTRIBUTES = (
    "do_resize", "size", "resample", "crop_pct", "do_center_crop", "crop_size", "do_rescale", "rescale_factor",
    "rescale_offset", "do_normalize", "image_mean", "image_std", "include_top", "do_flip_channel_order", "size_divisor",
)  # fmt: skip


def translate(kind: str, settings: Settings, *, channels: int, where: str) -> Preprocessing:
    """The operations that a processor's settings ask for.

    Args:
        kind: name of the processor's class; some read the same settings in their own way.
    """
    crop = pair(settings["crop_size"]) if settings["do_center_crop"] else None
    target = None
    if settings["do_resize"]:
        target, crop = resizing(kind, settings, crop, where)
    scale = 255.0 * number(settings["rescale_factor"]) if settings["do_rescale"] else 255.0
    gain, shift = np.full(channels, scale), np.zeros(channels)
    if settings["rescale_offset"] and settings["do_rescale"]:
        shift -= 1.0
    mean = per_channel(settings["image_mean"], channels, "image_mean", where)
    std = per_channel(settings["image_std"], channels, "image_std", where)
    if (settings["do_normalize"] or settings["include_top"]) and not (std > 0).all():
        raise InputError(f"image_std is {std.tolist()}", where=where, fix="numbers above zero")
    if settings["do_normalize"]:
        gain, shift = gain / std, (shift - mean) / std
    if settings["include_top"]:  # EfficientNet divides by std once more
        gain, shift = gain / std, shift / std
    return Preprocessing(
        target, int(number(settings["resample"], 2)), crop, tuple(gain.tolist()), tuple(shift.tolist()),
        flipped=bool(settings["do_flip_channel_order"]),
    )  # fmt: skip


def resizing(
    kind: str, settings: Settings, crop: Size | None, where: str
) -> tuple[Callable[[int, int], Size], Size | None]:
    """How a processor finds the new size, and what it crops then."""
    size: dict[str, int] = dict(settings["size"] or {})  # type: ignore[call-overload]
    short, long = size.get("shortest_edge"), size.get("longest_edge")
    crop_pct = number(settings["crop_pct"], 1.0)
    if kind == "ConvNextImageProcessor" and short:
        if short >= 384:
            return fixed(short, short), crop
        return edge(int(short / crop_pct)), crop or (short, short)
    if kind == "PoolFormerImageProcessor" and settings["crop_pct"] is not None and (short or is_square(size)):
        return edge(int((short or size["height"]) / crop_pct)), crop
    if kind == "LevitImageProcessor" and short:
        return edge(int(256 / 224 * short)), crop
    if short and not long:
        return edge(short), crop
    if "height" in size and "width" in size:
        return fixed(size["height"], size["width"]), crop
    raise InputError(f"images are resized by {size}", where=where, fix="shortest_edge, or height and width")


def fixed(height: int, width: int) -> Callable[[int, int], Size]:
    """The same size for every image."""
    return lambda _height, _width: (height, width)


def edge(short: int) -> Callable[[int, int], Size]:
    """Sizes whose shorter side is `short`, and whose longer one keeps the proportion, rounded down."""
    return lambda y, x: (short, int(short * x / y)) if y < x else (int(short * y / x), short)


def center_crop(pixels: Tensor, size: Size) -> Tensor:
    """The centre of pixels (B, C, Y, X), with zeros around an image that is too small.

    Of an odd rest, the cut takes one row (or column) less at the top, the padding puts one more there.
    """
    margins = []
    for have, want in zip(pixels.shape[2:], size, strict=True):
        before = (want - have + 1) // 2 if want > have else -((have - want) // 2)
        margins.append((before, want - have - before))
    (top, bottom), (left, right) = margins
    return torch.nn.functional.pad(pixels, (left, right, top, bottom))


def disagreement(processor: object, ours: Preprocessing, settings: Settings, *, channels: int) -> float:
    """The largest difference to a processor's own output over two images of noise, in pixels of [0, 1]."""
    words: dict[str, object] = {"input_data_format": "channels_first", "return_tensors": "np"}
    if channels == 1:
        words |= {"do_convert_rgb": False}
        words |= {name: list(settings[name])[:1] for name in ("image_mean", "image_std") if is_list(settings[name])}  # type: ignore[call-overload]
    random, worst = np.random.default_rng(0), 0.0
    for size in PROBES:
        image = random.integers(0, 256, (channels, *size), dtype=np.uint8)
        theirs = np.asarray(processor(images=[image], **words)["pixel_values"])  # type: ignore[operator]
        made = ours(torch.from_numpy(image[None] / 255)).numpy()
        if made.shape != theirs.shape:
            return float("inf")
        off = float((np.abs(made - theirs) / np.abs(ours.gain)[:, None, None]).max())
        worst = off if not off <= worst else worst  # not a number counts as the worst
    return worst


def per_channel(value: object, channels: int, name: str, where: str) -> np.ndarray:
    """A setting of one number a channel; three equal ones serve a model of one channel."""
    found = np.atleast_1d(np.asarray(0.0 if value is None else value, dtype=np.float64))
    if len(found) not in (1, channels):
        if len(set(found.tolist())) > 1:
            raise InputError(
                f"{name} has {len(found)} numbers, the model {channels} channels",
                where=where,
                fix=f"give {channels} numbers",
            )
        found = found[:1]
    return np.broadcast_to(found, (channels,))


def pair(size: object) -> Size:
    """Height and width of a crop."""
    found: dict[str, int] = dict(size or {})  # type: ignore[call-overload]
    return found["height"], found["width"]


def number(value: object, default: float = 1 / 255) -> float:
    """A number, or the default where there is none."""
    return float(default if value is None else value)  # type: ignore[arg-type]


def is_square(size: Mapping[str, int]) -> bool:
    """Whether a size has two equal sides."""
    return "height" in size and size["height"] == size.get("width")


def is_list(value: object) -> bool:
    """Whether a setting is a list of numbers."""
    return isinstance(value, list | tuple)
