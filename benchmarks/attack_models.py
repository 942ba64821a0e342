"""Small classifiers for benchmarks/attack.py, trained on the spot and kept in a folder.

MNIST (../shared/data/mnist-t10k): a ViT of 17 tokens and a CNN of two convolutions, plain and hardened by PGD of five
steps in the max norm, on the first 8,000 images. Digits: those of `vlmkit sample digits-vit|cnn`.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import ViTConfig, ViTForImageClassification

from vlmkit.core.samples.classifiers import build, logits_of, train_classifier, view
from vlmkit.core.samples.digits import HELD_OUT, RADIUS, load

MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist-t10k"
TRAINED, BATCH, PGD_STEPS = 8000, 128, 5
HARDENED = 0.2  # radius


@dataclass(frozen=True)
class Task:
    """A classifier with images that it has not seen, a radius, and six of them for a curve."""

    name: str
    kind: str
    data: str
    hardened: float
    eps: float
    radii: tuple[float, ...]


def around(eps: float) -> tuple[float, ...]:
    """Six radii, the fourth of them this one."""
    return tuple(round(eps * one / 5, 4) for one in range(2, 8))


TASKS = [
    Task("mnist-cnn", "cnn", "mnist", 0.0, 0.1, around(0.1)),
    Task("mnist-vit", "vit", "mnist", 0.0, 0.06, around(0.06)),
    Task("mnist-cnn-hardened", "cnn", "mnist", HARDENED, 0.25, around(0.25)),
    Task("mnist-vit-hardened", "vit", "mnist", HARDENED, 0.2, around(0.2)),
    Task("digits-cnn", "cnn", "digits", 0.0, 0.06, around(0.06)),
    Task("digits-vit", "vit", "digits", 0.0, 0.06, around(0.06)),
    Task("digits-cnn-hardened", "cnn", "digits", RADIUS, 0.15, around(0.15)),
    Task("digits-vit-hardened", "vit", "digits", RADIUS, 0.15, around(0.15)),
]


class Logits(nn.Module):
    """From pixels in [0, 1] to logits, as every package takes it."""

    def __init__(self, inner: nn.Module, answer: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.answer = inner, answer

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (B, V) of pixels (B, C, Y, X)."""
        return self.answer(self.inner, pixels)


def prepared(task: Task, folder: Path) -> tuple[nn.Module, Tensor, Tensor]:
    """The classifier with frozen parameters, and all images (N, C, Y, X) and labels (N,) that it has not seen."""
    images, labels = mnist() if task.data == "mnist" else digits()
    seen = TRAINED if task.data == "mnist" else len(images) - HELD_OUT
    model = untrained(task)
    kept = folder / f"{task.name}.pt"
    if not kept.exists():
        if task.data == "mnist":
            train(model, images[:seen], labels[:seen], task.hardened)
        else:
            pixels = images[:seen].numpy()
            found = train_classifier(task.kind, pixels, labels[:seen].numpy(), hardened_eps=task.hardened or None)
            model.inner.load_state_dict(found.state_dict())
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), kept)
    model.load_state_dict(torch.load(kept))
    return model.eval().requires_grad_(False), images[seen:], labels[seen:]


def mnist() -> tuple[Tensor, Tensor]:
    """10,000 images (N, 1, 28, 28) in [0, 1] and their labels."""
    with gzip.open(MNIST / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(MNIST / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return torch.from_numpy(pixels / np.float32(255)), torch.from_numpy(labels.astype(np.int64))


def digits() -> tuple[Tensor, Tensor]:
    """1,797 images (N, 1, 8, 8) in [0, 1] and their labels."""
    pixels, labels = load()
    return torch.from_numpy(pixels[:, None] / np.float32(255)), torch.from_numpy(labels)


def untrained(task: Task) -> Logits:
    """A network of a task's kind."""
    torch.manual_seed(0)
    if task.data == "digits":
        size = view(8)
        inner = build(task.kind, channels=1, size=8, num_classes=10)
        return Logits(inner, lambda model, pixels: logits_of(model, pixels, size))
    if task.kind == "vit":
        shape = {"image_size": 28, "patch_size": 7, "num_channels": 1, "num_labels": 10}
        shape |= {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96}
        vit = ViTForImageClassification(ViTConfig(**shape))
        return Logits(vit, lambda model, pixels: model(pixel_values=2 * pixels - 1).logits)
    layers = [nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten()]
    return Logits(nn.Sequential(*layers, nn.Linear(32 * 49, 100), nn.ReLU(), nn.Linear(100, 10)), nn.Module.__call__)


def train(model: nn.Module, images: Tensor, labels: Tensor, eps: float, *, epochs: int | None = None) -> None:
    """AdamW with one cycle; hardened within eps, which is reached half-way."""
    model.train()
    epochs = epochs or (20 if eps else 10)
    steps = -(-len(images) // BATCH)
    optim = torch.optim.AdamW(model.parameters(), weight_decay=1e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optim, 2.5e-3, epochs * steps)
    draw = torch.Generator().manual_seed(1)
    for epoch in range(epochs):
        radius = eps * min(1.0, 2 * (epoch + 1) / epochs)
        for rows in torch.randperm(len(images), generator=draw).split(BATCH):
            x, y = images[rows], labels[rows]
            if eps:
                x = worst(model, x, y, radius, draw)
            optim.zero_grad()
            cross_entropy(model(x), y).backward()
            optim.step()
            cycle.step()


def worst(model: nn.Module, x: Tensor, y: Tensor, eps: float, draw: torch.Generator) -> Tensor:
    """PGD from a random start."""
    low, high = (x - eps).clamp_min(0), (x + eps).clamp_max(1)
    found = (x + eps * (2 * torch.rand(x.shape, generator=draw) - 1)).clamp(low, high)
    for _ in range(PGD_STEPS):
        found.requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(model(found), y), found)
        found = (found.detach() + eps / 3 * gradient.sign()).clamp(low, high)
    return found
