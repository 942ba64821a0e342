"""What `vlmkit attack compare` takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.fields import Action, argument
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CompareConfig(Action):
    """Compare the robustness of classifiers that were attacked on the same images.

    Each run after the first is compared with the first, image by image: at every radius that both were attacked at,
    the difference of their robust accuracies with its interval (Newcombe 1998), and the exact McNemar test.
    """

    command: ClassVar[str] = "attack"
    action: ClassVar[str] = "compare"
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit attack compare vit-robustness cnn-robustness",
        "vlmkit attack compare vit-robustness cnn-robustness --json",
    )

    runs: tuple[Path, ...] = argument(
        help="Folders that `vlmkit attack` wrote, two or more.", metavar="RUN", eats=("adversarial",)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.runs) < 2:
            raise InputError("there is nothing to compare with", where="attack compare", fix="name two runs or more")
