"""What benchmarks/attack.py compares: ours and other packages' attacks, each as one function.

An attack takes a model (a plain nn.Module from pixels in [0, 1] to logits, parameters frozen), images, labels and radii
in the max norm, and gives the images that it changed at each radius. Peers run anew at each radius, but for FMN, whose
smallest changes serve all.
"""

import contextlib
import io
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.curve import FEW, Subject, measure
from vlmkit.core.attack.losses import ce
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.steps import Steps
from vlmkit.core.attack.suites import FRESH, SUITES, Round

Attack = Callable[[nn.Module, Tensor, Tensor, Sequence[float]], list[Tensor]]
CLASSES = 10
FMN_STEPS = 1000  # its default is 100


def suite(name: str, *, seed: int, norm: str = "linf", lanes: int | None = None) -> Attack:
    """A suite of ours, all radii at once, on so many lanes; None: on one for each image, as peers have it."""

    def rounds(_model: nn.Module) -> list[Round]:
        return SUITES[name](BALLS[norm], CLASSES)

    return ours(rounds, seed=seed, norm=norm, lanes=lanes, fresh=name in FRESH)


def anew(attack: Attack) -> Attack:
    """An attack that knows nothing of one radius at another."""

    def each(model: nn.Module, x: Tensor, y: Tensor, radii: Sequence[float]) -> list[Tensor]:
        return [attack(model, x, y, [eps])[0] for eps in radii]

    return each


def fgsm() -> Attack:
    """Ours: one step from the image."""
    one = Round(Steps("fgsm", BALLS["linf"], ce, 1, 1.0, random_start=False, last=True))
    return ours(lambda _model: [one], seed=0, norm="linf", lanes=None, fresh=True)


def ours(
    rounds: Callable[[nn.Module], list[Round]], *, seed: int, norm: str, lanes: int | None, fresh: bool = False
) -> Attack:
    """Rounds of ours; `fresh` those that are judged as they are published."""

    def attack(model: nn.Module, x: Tensor, y: Tensor, radii: Sequence[float]) -> list[Tensor]:
        ids = [str(one) for one in range(len(x))]
        wide = lanes or len(x)
        some = rounds(model)
        malt = any(one.malt for one in some)
        subject = Subject.of(Oracle(model), x, y, ids, BALLS[norm], lanes=wide, malt=malt)
        measure(subject, some, radii, lanes=wide, seed=seed, fresh=fresh, few=0 if fresh else FEW)
        known = subject.board
        return [torch.where(subject.robust(eps).reshape(-1, 1, 1, 1), x, within(known.fooling, known.size, x, eps))
                for eps in radii]  # fmt: skip

    return attack


def within(changed: Tensor, size: Tensor, x: Tensor, eps: float) -> Tensor:
    """The changed image where its change has at most this size, else the image."""
    return torch.where((size <= eps + 6e-8).reshape(-1, 1, 1, 1), changed, x)


def settings(*, seed: int, norm: str = "Linf") -> Attack:
    """AutoAttack's standard settings from torchattacks' ports of its parts: APGD-CE of 100 steps, APGD-T and FAB-T of
    100 for nine targets, Square of 5,000 queries with the squares of the first 5,000 of 10,000 (its `resc_schedule` is
    off)."""
    import torchattacks as ta

    def attack(model: nn.Module, x: Tensor, y: Tensor, radii: Sequence[float]) -> list[Tensor]:
        found = []
        for eps in radii:
            same = {"norm": norm, "eps": eps, "seed": seed}
            parts = [
                ta.APGD(model, steps=100, loss="ce", **same),
                ta.APGDT(model, steps=100, n_classes=CLASSES, **same),
                ta.FAB(model, steps=100, multi_targeted=True, n_classes=CLASSES, **same),
                ta.Square(model, n_queries=5000, resc_schedule=False, **same),
            ]
            found.append(ta.MultiAttack(parts)(x, y))
        return found

    return attack


def torchattacks_autoattack(*, seed: int, norm: str = "Linf") -> Attack:
    """Its class of that name, as it is."""
    import torchattacks as ta

    def attack(model: nn.Module, x: Tensor, y: Tensor, radii: Sequence[float]) -> list[Tensor]:
        same = {"norm": norm, "n_classes": CLASSES, "seed": seed}
        return [ta.AutoAttack(model, eps=eps, **same)(x, y) for eps in radii]

    return attack


def torchattacks_steps(name: str, *, seed: int) -> Attack:
    """`pgd`: 40 steps of eps / 30 from a random start. `fgsm`."""
    import torchattacks as ta

    def attack(model: nn.Module, x: Tensor, y: Tensor, radii: Sequence[float]) -> list[Tensor]:
        torch.manual_seed(seed)
        if name == "fgsm":
            return [ta.FGSM(model, eps=eps)(x, y) for eps in radii]
        return [ta.PGD(model, eps=eps, alpha=eps / 30, steps=40)(x, y) for eps in radii]

    return attack


def foolbox_attack(name: str, *, seed: int) -> Attack:
    """`pgd` (its default is that of Shao et al.), `fgsm`, `fmn`, and some of L2 and L1."""
    from foolbox import PyTorchModel, attacks

    made = {
        "pgd": lambda: attacks.LinfPGD(steps=40, rel_stepsize=1 / 30, random_start=True),
        "fgsm": attacks.FGSM,
        "fmn": lambda: attacks.LInfFMNAttack(steps=FMN_STEPS),
        "l2 pgd": lambda: attacks.L2PGD(steps=100),
        "l2 fmn": lambda: attacks.L2FMNAttack(steps=FMN_STEPS),
        "l2 ddn": lambda: attacks.DDNAttack(steps=FMN_STEPS),
        "l1 pgd": lambda: attacks.SparseL1DescentAttack(steps=100),
        "l1 fmn": lambda: attacks.L1FMNAttack(steps=FMN_STEPS),
        "l1 ead": lambda: attacks.EADAttack(binary_search_steps=5, steps=200),
    }

    def attack(model: nn.Module, x: Tensor, y: Tensor, radii: Sequence[float]) -> list[Tensor]:
        torch.manual_seed(seed)
        _, clipped, _ = made[name]()(PyTorchModel(model, bounds=(0, 1), device="cpu"), x, y, epsilons=list(radii))
        return [one.detach() for one in clipped]

    return attack


def art_autoattack(*, seed: int) -> Attack:
    """Its class of that name, as it is, with AutoAttack's first step of twice the radius and all images in a batch."""
    os.environ["TQDM_DISABLE"] = "1"
    from art.attacks.evasion import AutoAttack
    from art.estimators.classification import PyTorchClassifier

    def attack(model: nn.Module, x: Tensor, y: Tensor, radii: Sequence[float]) -> list[Tensor]:
        np.random.seed(seed)  # ART draws from there
        torch.manual_seed(seed)
        shape = tuple(x.shape[1:])
        classifier = PyTorchClassifier(
            model, nn.CrossEntropyLoss(), shape, CLASSES, clip_values=(0.0, 1.0), device_type="cpu"
        )
        found = []
        for eps in radii:
            whole = AutoAttack(classifier, norm=np.inf, eps=eps, eps_step=2 * eps, batch_size=len(x))
            with contextlib.redirect_stderr(io.StringIO()):
                found.append(torch.from_numpy(whole.generate(x.numpy().copy(), y.numpy())))
        return found

    return attack


PACKAGES = {
    "torchattacks": ("torchattacks", "torchattacks==3.5.1"),
    "foolbox": ("foolbox", "foolbox==3.3.4"),
    "ART": ("art", "adversarial-robustness-toolbox==1.20.1"),
}


def absent(package: str) -> str | None:
    """How to install a package that is not there."""
    module, pinned = PACKAGES[package]
    return None if find_spec(module) else f"{package} is left out: pip install --no-deps {pinned}"
