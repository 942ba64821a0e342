"""Small image classifiers trained on the spot, plain or hardened, as transformers models.

Hardening is adversarial training (Madry et al., 2018, equation 2.1): each step descends the loss at the worst point
that PGD finds in the ball of radius eps, from a random start. The radius grows over the first half of training, without
which a small model may never leave chance. The weights that are kept are a running mean over the steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    PreTrainedModel,
    ViTConfig,
    ViTForImageClassification,
)

from vlmkit.core.ops.resample import resize
from vlmkit.core.shapes import dims
from vlmkit.core.train.data import Batch
from vlmkit.core.train.loop import Loss, Run, fit
from vlmkit.core.train.optim import adamw
from vlmkit.core.train.schedule import cosine

Kind = Literal["vit", "cnn"]
EPOCHS = {("vit", False): 100, ("vit", True): 25, ("cnn", False): 60, ("cnn", True): 30}  # 10 to 40 CPU seconds
RATES = {"vit": 1.5e-3, "cnn": 4e-3}
BATCH = 64
MEMORY = 0.998  # of the running mean of the weights
LEAST = 24  # smaller images are resized to the next multiple of their size: patches then share pixels at their edges
TURN, SCALE, SHIFT = 0.25, 0.15, 0.2  # radians; share of the size; share of half the size
CALMER = 0.6  # of these for a hardened model, whose images are moved by the attack already
PGD_STEPS = 3  # of 1.75 eps / 3; Madry et al. take 7 of eps / 4, the same way in all, at twice the time


class ImageBatches(Sequence[Batch]):
    """`epochs` passes over images (N, C, Y, X) and labels (N,), each in an order of its own that `seed` decides.

    `batches[step]` holds `pixels`, `labels` and `progress`, the share of training that is done, one a row.
    """

    def __init__(self, images: Tensor, labels: Tensor, *, strength: float, epochs: int, seed: int) -> None:
        self.images, self.labels, self.strength, self.epochs, self.seed = images, labels, strength, epochs, seed
        self.steps = -(-len(images) // BATCH)

    def __len__(self) -> int:
        return self.steps * self.epochs

    def __getitem__(self, step: int) -> Batch:  # type: ignore[override]
        if not 0 <= step < len(self):
            raise IndexError(step)
        epoch, number = divmod(step, self.steps)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.images))
        rows = torch.from_numpy(order[number * BATCH : (number + 1) * BATCH])
        pixels = moved(self.images[rows], self.strength, np.random.default_rng([self.seed, epoch, number]))
        return {"pixels": pixels, "labels": self.labels[rows], "progress": torch.full((len(rows),), step / len(self))}


def moved(pixels: Tensor, strength: float, draw: np.random.Generator) -> Tensor:
    """Pixels (B, C, Y, X), each image turned, scaled and shifted a little, with black beyond its edges."""
    angle = strength * draw.uniform(-TURN, TURN, len(pixels))
    scale = 1 + strength * draw.uniform(-SCALE, SCALE, (2, len(pixels)))
    shift = strength * draw.uniform(-SHIFT, SHIFT, (2, len(pixels)))
    rows = [[np.cos(angle) * scale[0], -np.sin(angle), shift[0]], [np.sin(angle), np.cos(angle) * scale[1], shift[1]]]
    theta = torch.from_numpy(np.array(rows, dtype=np.float32)).permute(2, 0, 1)
    grid = affine_grid(theta, list(pixels.shape), align_corners=False)
    return grid_sample(pixels, grid, align_corners=False)


def train_classifier(
    kind: Kind,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    hardened_eps: float | None = None,
    epochs: int | None = None,
    seed: int = 0,
) -> PreTrainedModel:
    """Train a small classifier and return it in eval mode; the same seed gives the same weights.

    Args:
        kind: "vit" (ViT of four by four patches) or "cnn" (ConvNeXt of two stages).
        images: (N, C, Y, X) uint8, or float in [0, 1]; sides that 4 divides.
        labels: (N,) from 0.
        hardened_eps: radius of adversarial training in the max norm, for pixels in [0, 1]; None trains on the images
            as they are.
        epochs: passes over the images; None takes what suits some 1,400 of them.
    """
    sizes = dims("N C Y X, N", images=images, labels=labels)
    hardened = hardened_eps is not None
    pixels, targets = as_pixels(images), torch.from_numpy(labels.astype(np.int64))
    batches = ImageBatches(
        pixels, targets, strength=CALMER if hardened else 1.0, epochs=epochs or EPOCHS[kind, hardened], seed=seed
    )
    mean: dict[str, Tensor] = {}

    def remember(run: Run) -> None:
        memory = min(MEMORY, (1 + run.step) / (10 + run.step))
        for name, weight in run.model.named_parameters():
            mean[name] = mean[name].lerp(weight.detach(), 1 - memory) if name in mean else weight.detach().clone()

    with one_thread():
        torch.manual_seed(seed)
        model = build(kind, channels=sizes["C"], size=sizes["X"], num_classes=int(labels.max()) + 1)
        fit(
            model,
            batches,
            loss_within(hardened_eps, view(sizes["X"])),
            optim=lambda one: adamw(one, [(".*", RATES[kind])], weight_decay=0.05, betas=(0.9, 0.98)),
            schedule=cosine(len(batches), warmup=len(batches) // 20),
            hooks=[remember],
            seed=seed,
        )
    model.load_state_dict(mean, strict=False)
    return model.eval()


@torch.no_grad()
def accuracy(model: PreTrainedModel, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images (N, C, Y, X) that a classifier gets right."""
    logits = logits_of(model, as_pixels(images), view(images.shape[-1]))
    return float((logits.argmax(1).numpy() == labels).mean())


def as_pixels(images: np.ndarray) -> Tensor:
    """Images uint8, or float in [0, 1], as pixels in [0, 1]."""
    return torch.from_numpy(images / np.float32(255) if images.dtype == np.uint8 else images.astype(np.float32))


def build(kind: Kind, *, channels: int, size: int, num_classes: int) -> PreTrainedModel:
    """An untrained classifier of four by four patches, for images (C, size, size) as `view` resizes them."""
    names = {number: str(number) for number in range(num_classes)}
    words = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    size = view(size)
    shape = {"image_size": size, "patch_size": size // 4, "num_channels": channels, **words}
    if kind == "vit":
        sizes = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 192}
        return ViTForImageClassification(
            ViTConfig.from_dict({**shape, **sizes, "initializer_range": 0.1})
        )  # 0.02 is for wide models
    stages = {"num_stages": 2, "depths": [1, 1], "hidden_sizes": [48, 96], "layer_scale_init_value": 1.0}
    return ConvNextForImageClassification(ConvNextConfig.from_dict({**shape, **stages}))


def view(size: int) -> int:
    """The size that a model sees of images of a size."""
    return size * max(1, -(-LEAST // size))


def preprocessor(size: int) -> dict[str, object]:
    """The preprocessor_config.json of such a classifier, for images of a size."""
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": view(size), "width": view(size)},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5],
        "image_std": [0.5],
    }


def logits_of(model: nn.Module, pixels: Tensor, size: int) -> Tensor:
    """Logits (B, V) of pixels (B, C, Y, X) in [0, 1], seen at a size (bilinear)."""
    found: Tensor = model(2 * resize(pixels, (size, size), resample=2) - 1).logits
    return found


def loss_within(eps: float | None, size: int) -> Loss:
    """Cross-entropy at the worst points that PGD finds within eps, which is reached half-way; None: as they are."""

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        pixels, labels = batch["pixels"], batch["labels"]
        if eps is not None:
            radius = eps * min(1.0, 2 * float(batch["progress"][0]))
            pixels = perturbed(model, pixels, labels, eps=radius, size=size, generator=generator)
        return cross_entropy(logits_of(model, pixels, size), labels), {}

    return loss


def perturbed(
    model: nn.Module, pixels: Tensor, labels: Tensor, *, eps: float, size: int, generator: torch.Generator
) -> Tensor:
    """Pixels (B, C, Y, X) after PGD in the max norm: a uniform start, then steps along the gradient's sign.

    The model attacks in eval mode, and is left in the mode it came in.
    """
    trained = model.training
    model.eval()
    low, high = (pixels - eps).clamp_min(0), (pixels + eps).clamp_max(1)
    start = pixels + eps * (2 * torch.rand(pixels.shape, generator=generator, device=pixels.device) - 1)
    found = start.clamp(low, high)
    for _ in range(PGD_STEPS):
        found.requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(logits_of(model, found, size), labels), found)
        found = (found.detach() + 1.75 * eps / PGD_STEPS * gradient.sign()).clamp(low, high)
    model.train(trained)
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever the number of cores; models as small as these are no slower so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
