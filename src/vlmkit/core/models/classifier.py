"""Image classifiers of any kind as one thing: pixels in [0, 1] of any size go in, logits come out.

What a model does to an image before its first layer (size, crop, mean, std) happens inside, in torch, so that an attack
is measured in the pixels that a user sees, and gradients reach them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForImageClassification, PreTrainedConfig

from vlmkit.core.errors import InputError
from vlmkit.core.io.artifacts import find, missing
from vlmkit.core.models.brought import Blame, answer, load_exported, load_function, load_torchscript
from vlmkit.core.models.load import load_model, read_config, resolve_device
from vlmkit.core.models.preprocess import Preprocessing, read_preprocessing
from vlmkit.core.models.zero_shot import load_zero_shot, read_names
from vlmkit.core.shapes import dims

CLASSIFIER = ("an image classifier", "give a model with an image classification head, or FILE.py:FUNCTION")
FILES = {".pt": load_torchscript, ".pts": load_torchscript, ".ts": load_torchscript, ".pt2": load_exported}
DEPENDENCE = 0.05  # of the spread of the logits: far above the rounding of bfloat16, far below a batch statistic


class Classifier(nn.Module):
    """From pixels (B, C, Y, X) in [0, 1] to logits (B, V) float32, in eval mode, with frozen parameters.

    Attributes:
        num_classes: V; of code that the user brings, None until it has answered once.
        labels: the names of the classes in the order of the logits, where they are known.
        channels: 1 or 3 where it is known; grey images are repeated for a model of three.
        kind: "transformers", "zero-shot", "function", "torchscript" or "exported".
        where: where the model comes from, for errors and reports.
        prepare: what is done to the pixels first.
        asked: images that went through until now.
    """

    def __init__(
        self,
        compute: Callable[[Tensor], object],
        *,
        kind: str,
        where: str,
        dtype: torch.dtype = torch.float32,
        prepare: Preprocessing | None = None,
        num_classes: int | None = None,
        labels: Sequence[str] | None = None,
        channels: int | None = None,
    ) -> None:
        super().__init__()
        self.compute, self.kind, self.where, self.dtype, self.prepare = compute, kind, where, dtype, prepare
        self.labels = list(labels) if labels is not None else None
        self.num_classes = len(self.labels) if num_classes is None and self.labels is not None else num_classes
        self.channels = channels
        self.answered, self.asked = False, 0
        self.requires_grad_(False).eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (B, V) float32 of pixels (B, C, Y, X) in [0, 1].

        Raises:
            InputError: the model fails on these pixels, or does not answer with logits.
        """
        dims("B C Y X", pixels=pixels)
        self.asked += len(pixels)
        given = f"given pixels {tuple(pixels.shape)}"
        values = self.view(pixels)
        with Blame(self.where, given):
            found = self.compute(values)
        logits = self._logits(found, len(pixels))
        if not self.answered:
            self._check_finite(logits)
            self.num_classes, self.answered = logits.shape[1], True
        return logits.float()

    def view(self, pixels: Tensor) -> Tensor:
        """Pixels (B, C, Y, X) in [0, 1] as the model is given them: resized, cropped, normalised."""
        pixels = self._repeated(pixels).to(torch.float64 if self.dtype == torch.float64 else torch.float32)
        return (pixels if self.prepare is None else self.prepare(pixels)).to(self.dtype)

    def probe(self, pixels: Tensor) -> None:
        """Refuse a model that will not do, by what it makes of a few images (B, C, Y, X).

        Raises:
            InputError: it fails, its answer is not finite or not (B, V), it writes into the pixels, or an image's
                logits depend on the other images of the batch.
        """
        with torch.no_grad():
            kept = pixels.clone()
            logits = self(pixels)
            self._check_finite(logits)
            if not torch.equal(kept, pixels):
                raise InputError("the model changes its input in place", where=self.where, fix="x = x - mean, not x -=")
            if len(pixels) < 2 or not torch.equal(logits, self(pixels)):
                return  # a model with noise of its own answers differently each time, whatever the batch
            alone = torch.cat([self(pixels[i : i + 1]) for i in range(len(pixels))])
        if float((alone - logits).abs().max()) > DEPENDENCE * float(logits.max() - logits.min()):
            raise InputError(
                "an image's logits depend on the other images of the batch",
                where=self.where,
                fix="give the model in eval mode, without batch statistics",
            )

    def _repeated(self, pixels: Tensor) -> Tensor:
        have = pixels.shape[1]
        if self.channels is None or have == self.channels:
            return pixels
        if have == 1:
            return pixels.expand(-1, self.channels, -1, -1)
        raise InputError(
            f"the images have {have} channels, the model takes {self.channels}",
            where=self.where,
            fix="give grey images" if self.channels == 1 else f"give images of {self.channels} channels, or grey ones",
        )

    def _logits(self, found: object, batch: int) -> Tensor:
        logits = answer(found)
        fix = "return logits (B, V): one row an image, one number a class"
        if not isinstance(logits, Tensor):
            raise InputError(f"the model gives {type(found).__name__}, no tensor", where=self.where, fix=fix)
        if not logits.is_floating_point():
            raise InputError(f"the model gives {logits.dtype}, no logits", where=self.where, fix=fix)
        if logits.ndim != 2 or len(logits) != batch or logits.shape[1] < 2:
            shape = tuple(logits.shape)
            if shape in {(batch,), (batch, 1)}:
                fix = "two classes are two logits: torch.stack([-z, z], 1)"
            raise InputError(f"the model gives {shape} for {batch} images", where=self.where, fix=fix)
        if self.num_classes is not None and logits.shape[1] != self.num_classes:
            raise InputError(
                f"the model gives {logits.shape[1]} logits for {self.num_classes} classes",
                where=self.where,
                fix="give as many names as the model has classes" if self.labels else "always the same classes",
            )
        return logits

    def _check_finite(self, logits: Tensor) -> None:
        wrong = int((~torch.isfinite(logits)).sum())
        if wrong:
            raise InputError(
                f"{wrong} of {logits.numel()} logits are not finite",
                where=self.where,
                fix="check the weights, or another --dtype",
            )


def load_classifier(
    word: str | Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32, classes: str | None = None
) -> Classifier:
    """Load an image classifier.

    Args:
        word: a transformers folder with an image classification head; a folder of a CLIP or SigLIP model, with
            `classes`; FILE.py:FUNCTION, which returns an nn.Module; a TorchScript file (.pt, .pts, .ts) or an exported
            program (.pt2), from pixels in [0, 1] to logits, or to several outputs of which logits are the first. A
            program that was exported for one number of images alone is given so many at a time.
        dtype: number format of the weights and of the computation after the image is resized.
        classes: a text file with the name of a class on each line, or (zero-shot) a safetensors file with `embeddings`
            (V, D) of the classes.

    Raises:
        InputError: there is no classifier, or one that will not do.
    """
    place, path = resolve_device(device), Path(word)
    file, colon, _ = str(word).rpartition(":")
    if (colon and file.endswith(".py")) or path.suffix == ".py":
        return _brought(load_function(str(word), place, dtype), "function", str(word), dtype, classes)
    if not path.exists():
        raise missing(path)
    if path.is_file():
        if path.suffix not in FILES:
            known = ", ".join(FILES)
            raise InputError(
                f"a file '{path.suffix}' is no model",
                where=str(path),
                fix=f"give a transformers folder, FILE.py:FUNCTION, or a file {known}",
            )
        kind = "exported" if path.suffix == ".pt2" else "torchscript"
        return _brought(FILES[path.suffix](path, place, dtype), kind, str(path), dtype, classes)
    folder = find(path, "model")
    config = read_config(folder)
    model = _classes_named if classes is not None else _classes_learnt
    found = model(folder, config, place, dtype, classes)
    found.probe(_noise(found, config, place))
    return found


def _brought(
    compute: Callable[[Tensor], object], kind: str, where: str, dtype: torch.dtype, classes: str | None
) -> Classifier:
    labels = read_names(Path(classes)) if classes is not None else None
    return Classifier(compute, kind=kind, where=where, dtype=dtype, labels=labels)


def _classes_learnt(
    folder: Path, config: PreTrainedConfig, place: torch.device, dtype: torch.dtype, _classes: str | None
) -> Classifier:
    """A model with a head for its own classes."""
    heads = [name for name in config.architectures or [] if "ImageClassification" in name]
    if hasattr(config, "text_config") and not heads:
        raise InputError(
            f"'{config.model_type}' has no classes of its own",
            where=str(folder),
            fix="name them with --classes NAMES.txt (a name on each line)",
        )
    prepare = read_preprocessing(folder, config, channels=_channels(config))
    model = load_model(AutoModelForImageClassification, folder, config, what=CLASSIFIER, device=str(place), dtype=dtype)
    names = [name for _, name in sorted((config.id2label or {}).items(), key=lambda item: int(item[0]))]
    return Classifier(
        model,
        kind="transformers",
        where=str(folder),
        dtype=dtype,
        prepare=prepare,
        num_classes=config.num_labels,
        labels=None if all(name == f"LABEL_{number}" for number, name in enumerate(names)) else names,
        channels=_channels(config),
    )


def _classes_named(
    folder: Path, config: PreTrainedConfig, place: torch.device, dtype: torch.dtype, classes: str | None
) -> Classifier:
    """A model of images and texts, whose classes are texts."""
    assert classes is not None
    prepare = read_preprocessing(folder, config, channels=_channels(config))
    scorer = load_zero_shot(folder, config, Path(classes), device=str(place), dtype=dtype)
    return Classifier(
        scorer,
        kind="zero-shot",
        where=str(folder),
        dtype=dtype,
        prepare=prepare,
        num_classes=len(scorer.embeddings),
        labels=scorer.names,
        channels=_channels(config),
    )


def _channels(config: PreTrainedConfig) -> int:
    vision = getattr(config, "vision_config", config)
    return int(getattr(vision, "num_channels", 3))


def _noise(model: Classifier, config: PreTrainedConfig, place: torch.device) -> Tensor:
    """Two images to probe a model with, of a size that it takes."""
    vision = getattr(config, "vision_config", config)
    size = getattr(vision, "image_size", None) or 224
    fits = model.prepare is not None and (model.prepare.target or model.prepare.crop)
    height, width = (48, 40) if fits else (size, size) if isinstance(size, int) else size
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, model.channels or 3, height, width, generator=generator).to(place)
