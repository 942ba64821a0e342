"""The models of docs/papers/vit-robustness.md: small vision transformers, CNNs and hybrids, plain and hardened.

    python benchmarks/vit_models.py OUT [--data ../shared/data/mnist-t10k] [--only NAME,…]

Each is trained on the first 8,000 of MNIST's 10,000 test images and saved as a transformers folder, or (the hybrids,
which transformers has no class for) as weights beside OUT/hybrids.py, which `vlmkit attack` takes as FILE.py:FUNCTION.
A model that is there is not trained again.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from vlmkit.core.io.files import write_json
from vlmkit.core.io.pictures import read_pictures
from vlmkit.core.samples.classifiers import ImageBatches, as_pixels, loss_within, one_thread
from vlmkit.core.train.loop import fit
from vlmkit.core.train.optim import adamw
from vlmkit.core.train.schedule import cosine

TRAINED, SIDE, EPS = 8000, 28, 0.2
HYBRIDS = '''"""Vision transformers whose patches see the image through convolutions first."""

from pathlib import Path

from safetensors.torch import load_file
from torch import nn
from transformers import ViTConfig, ViTForImageClassification


class Hybrid(nn.Module):
    """`convolutions` of 3 x 3 and 16 channels, then the vision transformer."""

    def __init__(self, convolutions):
        super().__init__()
        channels = [1, *[16] * convolutions]
        layers = [
            layer
            for before, after in zip(channels, channels[1:])
            for layer in (nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(1, after), nn.GELU())
        ]
        self.stem = nn.Sequential(*layers)
        self.vit = ViTForImageClassification(ViTConfig(
            hidden_size=96, num_hidden_layers=4, num_attention_heads=4, intermediate_size=192, image_size=28,
            patch_size=7, num_channels=channels[-1], num_labels=10, initializer_range=0.1,
        ))

    def forward(self, pixel_values):
        return self.vit(self.stem(pixel_values))


class FromPixels(nn.Module):
    """From pixels in [0, 1]."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, pixels):
        return self.inner(2 * pixels - 1).logits


def load(name, convolutions):
    model = Hybrid(convolutions)
    model.load_state_dict(load_file(Path(__file__).parent / f"{name}.safetensors"))
    return FromPixels(model)


'''


def vit(width: int, depth: int) -> nn.Module:
    """A ViT of 16 tokens."""
    shape = {"image_size": SIDE, "patch_size": 7, "num_channels": 1, "num_labels": 10, "initializer_range": 0.1}
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=width, num_hidden_layers=depth, num_attention_heads=4, intermediate_size=2 * width, **shape
        )
    )


def convnext(width: int) -> nn.Module:
    """A ConvNeXt of two stages, from patches of 4 by 4."""
    return ConvNextForImageClassification(
        ConvNextConfig(
            num_channels=1, image_size=SIDE, patch_size=4, num_stages=2, depths=[1, 1], num_labels=10,
            hidden_sizes=[width, 2 * width], layer_scale_init_value=1.0,
        )
    )  # fmt: skip


def resnet(width: int) -> nn.Module:
    """A ResNet of two stages."""
    return ResNetForImageClassification(
        ResNetConfig(
            num_channels=1, embedding_size=width, hidden_sizes=[width, 2 * width], depths=[1, 1], num_labels=10,
            layer_type="basic", downsample_in_first_stage=True,
        )
    )  # fmt: skip


def hybrid(convolutions: int) -> nn.Module:
    """A ViT with so many convolutions before its patches."""
    names: dict[str, Callable[[int], nn.Module]] = {}
    exec(HYBRIDS, names)  # the class as users load it
    return names["Hybrid"](convolutions)


@dataclass(frozen=True)
class Made:
    """How a model is made and trained."""

    build: Callable[[], nn.Module]
    hardened: bool = False
    epochs: int = 12
    rate: float = 1.5e-3


MODELS = {
    "vit-small": Made(lambda: vit(48, 3)),
    "vit": Made(lambda: vit(96, 4)),
    "vit-large": Made(lambda: vit(128, 6), rate=1e-3),
    "convnext-small": Made(lambda: convnext(24), rate=4e-3),
    "convnext": Made(lambda: convnext(48), rate=4e-3),
    "resnet": Made(lambda: resnet(16), rate=4e-3),
    "hybrid-1": Made(lambda: hybrid(1)),
    "hybrid-2": Made(lambda: hybrid(2)),
    "hybrid-3": Made(lambda: hybrid(3)),
    "vit-hardened": Made(lambda: vit(96, 4), hardened=True, epochs=16),
    "convnext-hardened": Made(lambda: convnext(48), hardened=True, epochs=16, rate=4e-3),
    "hybrid-2-hardened": Made(lambda: hybrid(2), hardened=True, epochs=16),
}


def train(made: Made, pixels: np.ndarray, labels: np.ndarray) -> nn.Module:
    """Train a model; the same every time."""
    batches = ImageBatches(as_pixels(pixels), torch.from_numpy(labels), strength=0.4, epochs=made.epochs, seed=0)
    with one_thread():
        torch.manual_seed(0)
        model = made.build()
        fit(
            model, batches, loss_within(EPS if made.hardened else None, SIDE),
            optim=lambda one: adamw(one, [(".*", made.rate)], weight_decay=0.05, betas=(0.9, 0.98)),
            schedule=cosine(len(batches), warmup=len(batches) // 20), seed=0,
        )  # fmt: skip
    return model.eval()


def save(model: nn.Module, name: str, out: Path) -> None:
    """As a transformers folder with its processor, or as weights beside the hybrids' code."""
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(out / name)
        settings = {"image_processor_type": "ViTImageProcessor", "do_resize": True, "do_rescale": True}
        settings |= {"size": {"height": SIDE, "width": SIDE}, "rescale_factor": 1 / 255, "do_normalize": True}
        write_json(out / name / "preprocessor_config.json", settings | {"image_mean": [0.5], "image_std": [0.5]})
        return
    save_file(model.state_dict(), out / f"{name}.safetensors")


def code() -> str:
    """The hybrids' file, with a function for each."""
    some = [name for name in MODELS if name.startswith("hybrid")]
    lines = [f'def {name.replace("-", "_")}():\n    return load("{name}", {name[7]})\n' for name in some]
    return HYBRIDS + "\n\n".join(lines)


def word(name: str, out: Path) -> str:
    """What the command line calls a model."""
    return f"{out / 'hybrids.py'}:{name.replace('-', '_')}" if name.startswith("hybrid") else str(out / name)


def main() -> None:
    """Train what is not there."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("out", type=Path)
    words.add_argument("--data", type=Path, default=Path("../shared/data/mnist-t10k"))
    words.add_argument("--only", default="")
    asked = words.parse_args()
    found = read_pictures(asked.data)
    pixels, labels = np.stack(found.pixels), found.labels
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "hybrids.py").write_text(code())
    np.savez(asked.out / "test.npz", images=pixels[TRAINED:], labels=labels[TRAINED:])
    for name, made in MODELS.items():
        there = (asked.out / name).exists() or (asked.out / f"{name}.safetensors").exists()
        if there or (asked.only and name not in asked.only.split(",")):
            continue
        begun = time.process_time()
        model = train(made, pixels[:TRAINED], labels[:TRAINED])
        save(model, name, asked.out)
        with torch.no_grad():
            logits = model(2 * torch.from_numpy(pixels[TRAINED:]) - 1).logits
        right = float((logits.argmax(1).numpy() == labels[TRAINED:]).mean())
        count = sum(one.numel() for one in model.parameters())
        print(f"{name}: {count:,} parameters, {right:.4f}, {time.process_time() - begun:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
