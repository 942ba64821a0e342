"""Robust accuracy by `vlmkit attack`'s suites and by other packages: strength and cost on the same small models.

    python benchmarks/attack.py [--n 200] [--skip 0] [--models mnist-cnn,…] [--peers torchattacks,foolbox,ART]
        [--art MODELS] [--curves MODELS] [--curve-n 100] [--paper MODELS] [--norms MODELS] [--seed 0]
        [--kept FOLDER] [--save]

The models of attack_models.py (trained in some minutes on the first call, kept in FOLDER), N images that none has seen
after the first SKIP, all in one batch, one thread. At one radius each; on some of them six radii, the protocol of Shao
et al. 2021 (`--paper`), and L2 and L1 (`--norms`). Every attack's images are judged here, by a fresh forward, the
radius and the box. Forwards and backwards are rows that pass the model, counted by one hook for all. A peer that is not
installed is left out with a line that says how to get it (foolbox needs GitPython and eagerpy besides). ART takes some
80,000 forwards of every robust image, so it is asked about the models of --art alone.
"""

import argparse
import datetime
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import attack_peers as peers
import torch
from attack_models import TASKS, Task, prepared
from torch import Tensor, nn

from vlmkit.core.attack.balls import BALLS

RESULTS = Path(__file__).parent / "results" / "attack.md"
REFERENCE, OURS = "AutoAttack's settings", "vlmkit standard"
ROUNDING = 1e-6  # on a radius; every package's float32 stays below
SHAO_SEED = 310
NORMS = {"l2": 1.2, "l1": 8.0}  # with a radius of interest for a plain CNN of MNIST


@dataclass
class Counter:
    """Rows that go through a model and back."""

    forwards: int = 0
    backwards: int = 0
    handles: list[torch.utils.hooks.RemovableHandle] = field(default_factory=list)

    def note(self, _model: nn.Module, _pixels: tuple[Tensor, ...], logits: Tensor) -> None:
        """A forward, and the backward to come."""
        self.forwards += len(logits)
        if logits.requires_grad:
            logits.register_hook(self.back)

    def back(self, gradient: Tensor) -> None:
        """A backward."""
        self.backwards += len(gradient)


@dataclass(frozen=True)
class Found:
    """Which images are still right at each radius (R, N), with the cost an image."""

    robust: Tensor
    forwards: float
    backwards: float
    seconds: float

    @property
    def accuracies(self) -> list[float]:
        """Robust accuracy at each radius."""
        return self.robust.float().mean(1).tolist()


def judged(
    attack: peers.Attack, model: nn.Module, x: Tensor, y: Tensor, radii: Sequence[float], *, norm: str = "linf"
) -> Found:
    """Run an attack and judge what it gives."""
    counter = Counter()
    handle = model.register_forward_hook(counter.note)
    begun = time.process_time()
    changed = attack(model, x, y, radii)
    seconds = time.process_time() - begun
    handle.remove()
    robust = []
    with torch.no_grad():
        right = model(x).argmax(1) == y
        for eps, images in zip(radii, changed, strict=True):
            inside = BALLS[norm].size(images - x) <= eps * (1 + ROUNDING) + ROUNDING
            boxed = (images.flatten(1).amin(1) >= 0) & (images.flatten(1).amax(1) <= 1)
            robust.append(right & ~((model(images).argmax(1) != y) & inside & boxed))
    return Found(torch.stack(robust), counter.forwards / len(x), counter.backwards / len(x), seconds)


def contenders(words: argparse.Namespace, there: set[str]) -> dict[str, peers.Attack]:
    """Ours, then what is installed."""
    seed = words.seed
    found = {OURS: peers.suite("standard", seed=seed)}
    if "torchattacks" in there:
        found[REFERENCE] = peers.settings(seed=seed)
        found["torchattacks AutoAttack"] = peers.torchattacks_autoattack(seed=seed)
    if "foolbox" in there:
        found["foolbox PGD-40"] = peers.foolbox_attack("pgd", seed=seed)
        found["foolbox FMN"] = peers.foolbox_attack("fmn", seed=seed)
        found["foolbox FGSM"] = peers.foolbox_attack("fgsm", seed=seed)
    return found


def contenders_in(norm: str, words: argparse.Namespace, there: set[str]) -> dict[str, peers.Attack]:
    """Ours, then what is installed, in L2 or L1."""
    seed = words.seed
    found = {OURS: peers.suite("standard", seed=seed, norm=norm)}
    if "torchattacks" in there and norm == "l2":
        found[REFERENCE] = peers.settings(seed=seed, norm="L2")
    if "foolbox" in there:
        for name in {"l2": ("l2 pgd", "l2 fmn", "l2 ddn"), "l1": ("l1 pgd", "l1 fmn", "l1 ead")}[norm]:
            found[f"foolbox {name}"] = peers.foolbox_attack(name, seed=seed)
    return found


def table(title: str, found: dict[str, Found], radii: Sequence[float]) -> list[str]:
    """One row an attack, and the ratios of ours to AutoAttack's settings."""
    heads = " | ".join(f"eps {eps:g}" for eps in radii)
    lines = [f"### {title}", "", f"| attack | {heads} | forwards | backwards | CPU s |"]
    lines.append("|---" * (len(radii) + 4) + "|")
    for name, one in found.items():
        values = " | ".join(f"{value:.3f}" for value in one.accuracies)
        lines.append(f"| {name} | {values} | {one.forwards:,.0f} | {one.backwards:,.0f} | {one.seconds:.1f} |")
    if REFERENCE in found:
        ours, theirs = found[OURS], found[REFERENCE]
        lowest = torch.tensor([one.accuracies for name, one in found.items() if name != OURS]).amin(0)
        worst = max(a - float(b) for a, b in zip(ours.accuracies, lowest, strict=True))
        cost = (
            f"{ours.forwards / theirs.forwards:.2f} of the forwards and {ours.seconds / theirs.seconds:.2f} of the CPU"
        )
        images = round(worst * ours.robust.shape[1])
        lines += ["", f"Ours beside AutoAttack's settings: {cost} seconds. Ours beside the lowest peer, at the radius "
                  f"where it compares worst: {images:+d} images."]  # fmt: skip
    return [*lines, ""]


def paper(task: Task, model: nn.Module, x: Tensor, y: Tensor, there: set[str]) -> list[str]:
    """`shao2021` and FGSM beside the same of other packages, and at other batch sizes."""
    runs = {name: peers.suite("shao2021", seed=SHAO_SEED) for name in ("vlmkit shao2021", "vlmkit shao2021, one curve")}
    runs["vlmkit shao2021"] = peers.anew(runs["vlmkit shao2021"])
    singles = {"vlmkit FGSM": peers.anew(peers.fgsm())}
    if "foolbox" in there:
        runs["foolbox PGD-40"] = peers.foolbox_attack("pgd", seed=SHAO_SEED)
        singles["foolbox FGSM"] = peers.foolbox_attack("fgsm", seed=SHAO_SEED)
    if "torchattacks" in there:
        runs["torchattacks PGD-40"] = peers.torchattacks_steps("pgd", seed=SHAO_SEED)
        singles["torchattacks FGSM"] = peers.torchattacks_steps("fgsm", seed=SHAO_SEED)
    found = {name: judged(attack, model, x, y, task.radii) for name, attack in (runs | singles).items()}
    lines = [f"### {task.name}: PGD-40 (eps / 30, seed {SHAO_SEED}) and FGSM, images right of {len(x)}", ""]
    lines += ["| attack | " + " | ".join(f"eps {eps:g}" for eps in task.radii) + " | forwards |", "|---" * 8 + "|"]
    for name, one in found.items():
        counts = " | ".join(str(int(value)) for value in one.robust.sum(1))
        lines.append(f"| {name} | {counts} | {one.forwards / len(task.radii):.1f} |")
    same = all(torch.equal(found["vlmkit FGSM"].robust, found[name].robust) for name in singles)
    sized = [peers.anew(peers.suite("shao2021", seed=SHAO_SEED, lanes=lanes)) for lanes in (16, 64, 128)]
    flags = [judged(attack, model, x, y, task.radii).robust for attack in sized]
    steady = all(torch.equal(found["vlmkit shao2021"].robust, one) for one in flags)
    lines += ["", f"FGSM: each image the same in all packages: {same}. PGD-40: each image the same at batch sizes 16, "
              f"64 and 128: {steady}."]  # fmt: skip
    return [*lines, ""]


def main() -> None:
    """Measure, print as it goes, and keep the tables if asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--models", default=",".join(task.name for task in TASKS))
    parser.add_argument("--peers", default=",".join(peers.PACKAGES))
    parser.add_argument("--art", default="mnist-cnn-hardened")
    parser.add_argument("--curves", default="mnist-cnn,mnist-cnn-hardened,mnist-vit-hardened")
    parser.add_argument("--curve-n", type=int, default=100)
    parser.add_argument("--paper", default="mnist-cnn,mnist-vit")
    parser.add_argument("--norms", default="mnist-cnn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "vlmkit-bench-attack")
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results/attack.md")
    words = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    asked = [name for name in words.peers.split(",") if name in peers.PACKAGES]
    missing = {name: line for name in asked if (line := peers.absent(name))}
    there = set(asked) - set(missing)
    lines: list[str] = []

    def say(more: list[str]) -> None:
        print("\n".join(more), flush=True)
        lines.extend(more)

    machine = f"{platform.machine()}, one thread, torch {torch.__version__}"
    command = "python benchmarks/attack.py " + " ".join(sys.argv[1:])
    say([f"## {datetime.date.today()}: {machine}", "", f"    {command}", "", *missing.values()])
    for task in (one for one in TASKS if one.name in words.models.split(",")):
        model, x, y = prepared(task, words.kept)
        x, y = x[words.skip : words.skip + words.n], y[words.skip : words.skip + words.n]
        with torch.no_grad():
            clean = float((model(x).argmax(1) == y).float().mean())
        attacks = contenders(words, there)
        found = {name: judged(attack, model, x, y, [task.eps]) for name, attack in attacks.items()}
        if "ART" in there and task.name in words.art.split(","):
            found["ART AutoAttack"] = judged(peers.art_autoattack(seed=words.seed), model, x, y, [task.eps])
        say(table(f"{task.name}: {len(x)} images, accuracy {clean:.3f}, one radius", found, [task.eps]))
        if task.name in words.paper.split(","):
            say(paper(task, model, x, y, there))
        for norm, eps in NORMS.items() if task.name in words.norms.split(",") else ():
            others = contenders_in(norm, words, there)
            found = {name: judged(attack, model, x, y, [eps], norm=norm) for name, attack in others.items()}
            say(table(f"{task.name}: {len(x)} images, {norm}, one radius", found, [eps]))
        if task.name in words.curves.split(","):
            x, y = x[: words.curve_n], y[: words.curve_n]
            found = {name: judged(attack, model, x, y, task.radii) for name, attack in attacks.items()}
            say(table(f"{task.name}: {len(x)} images, six radii", found, task.radii))
    if words.save:
        before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Attacks: benchmarks/attack.py\n"
        RESULTS.write_text(before.rstrip() + "\n\n" + "\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
