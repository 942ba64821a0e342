"""Attacks on lanes: exact on linear models, counted, the same for any batch."""

import pytest
import torch
from torch import Tensor, nn

from vlmkit.core.attack.apgd import Apgd
from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.bisect import Bisect
from vlmkit.core.attack.board import ROUNDING, Board
from vlmkit.core.attack.fab import Fab
from vlmkit.core.attack.fmn import Fmn
from vlmkit.core.attack.lanes import Attack, Work, run
from vlmkit.core.attack.losses import ce, dlr, margin, pma
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.randomness import keys_of
from vlmkit.core.attack.square import Square
from vlmkit.core.attack.steps import Steps
from vlmkit.core.errors import RunError

DUAL = {"linf": 1, "l2": 2, "l1": torch.inf}


class Linear(nn.Module):
    """Two classes, parted by a plane."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.w = nn.Parameter(torch.randn(48, generator=draw))
        self.b = nn.Parameter(-0.5 * self.w.detach().sum())

    def forward(self, x: Tensor) -> Tensor:
        score = (x - 0.5).flatten(1) @ self.w + self.b + 0.5 * self.w.sum()
        return torch.stack([-score / 2, score / 2], dim=1)


def net(seed: int = 0) -> nn.Module:
    """A small network of four classes."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)).eval()


def board(model: nn.Module, count: int, shape: tuple[int, ...], spread: float = 1.0) -> Board:
    """Random images with the model's own labels."""
    x = 0.5 + spread * (torch.rand(count, *shape, generator=torch.Generator().manual_seed(1)) - 0.5)
    return Board.of(x, model(x).argmax(1).detach())


def attacked(
    attack: Attack, model: nn.Module, known: Board, norm: str, eps: float, *, lanes: int = 16, minimise: bool = False
) -> Oracle:
    """The oracle after an attack on all images."""
    oracle, count = Oracle(model), len(known.x)
    keys = keys_of([str(one) for one in range(count)], seed=0, what=attack.name)
    target = model(known.x).scatter(1, known.y[:, None], -torch.inf).argmax(1)
    work = Work(torch.arange(count), target, keys)
    run(attack, oracle, known, BALLS[norm], work, eps=eps, lanes=lanes, by=0, minimise=minimise)
    return oracle


@pytest.mark.parametrize("norm", DUAL)
def test_the_least_radius_of_a_linear_model_is_found(norm):
    model = Linear()
    known = board(model, 40, (3, 4, 4), spread=0.2)  # so far from the box that it does not matter
    truth = (model(known.x)[:, 1] - model(known.x)[:, 0]).abs() / model.w.norm(p=DUAL[norm])
    attacked(Fab("fab", BALLS[norm], num_steps=30), model, known, norm, eps=100.0, minimise=True)
    assert bool((known.size <= 1.06 * truth).all())  # beyond the boundary by 5 %
    attacked(Bisect(), model, known, norm, eps=100.0, minimise=True)
    large = (
        truth > {"linf": 3e-3, "l2": 3e-3, "l1": 3e-2}[norm]
    )  # of less, 1e-4 is below what pixels in float32 resolve
    assert large.sum() > 20
    torch.testing.assert_close(known.size[large], truth.detach()[large], rtol=1e-4, atol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_robust_accuracy_of_a_linear_model_is_exact(norm):
    model = Linear(1)
    known = board(model, 60, (3, 4, 4), spread=0.1)
    truth = ((model(known.x)[:, 1] - model(known.x)[:, 0]).abs() / model.w.norm(p=DUAL[norm])).detach()
    for eps in truth.quantile(torch.tensor([0.2, 0.5, 0.8])).tolist():
        fresh = Board.of(known.x, known.y)
        attacked(Apgd("apgd", BALLS[norm], ce, num_steps=50), model, fresh, norm, eps)
        clear = (truth - eps).abs() > 1e-4 * eps
        assert torch.equal((fresh.size <= eps + ROUNDING)[clear], (truth <= eps)[clear])
    fresh = Board.of(known.x, known.y)
    attacked(Fmn("fmn", BALLS[norm], num_steps=200), model, fresh, norm, eps=100.0, minimise=True)
    assert bool((fresh.size >= truth * (1 - 1e-5)).all())
    assert bool((fresh.size <= truth * 1.03).all())


def suite(norm: str) -> list[Attack]:
    """One of each kind."""
    ball = BALLS[norm]
    return [
        Steps("fgsm", ball, ce, 1, 1.0, random_start=False, last=True), Steps("pgd", ball, ce, 10, 0.1),
        Steps("mi", ball, ce, 10, 0.1, momentum=1.0), Apgd("ce", ball, ce, 20), Apgd("dlr", ball, dlr, 20),
        Apgd("pma", ball, pma, 20, warm=True), Fab("fab", ball, 10), Fmn("fmn", ball, 10), Square("square", ball, 60),
        Square("late", ball, 40, warm=True, first=300), Bisect(),
    ]  # fmt: skip


@pytest.mark.parametrize("norm", DUAL)
def test_what_is_found_holds_and_depends_on_no_batch(norm):
    model, eps = net(), {"linf": 0.05, "l2": 0.3, "l1": 2.0}[norm]
    results = []
    for lanes in (8, 16, 50):
        known = board(model, 50, (1, 8, 8))
        rows, rows_seen = 0, []
        handle = model.register_forward_pre_hook(lambda _, given, seen=rows_seen: seen.append(len(given[0])))
        for attack in suite(norm):
            oracle = attacked(attack, model, known, norm, eps, lanes=lanes)
            rows += oracle.forwards
        handle.remove()
        assert sum(rows_seen) - len(suite(norm)) * 50 == rows  # all but the targets' own
        results.append(known.state())
    for other in results[1:]:
        for name, value in results[0].items():
            assert torch.equal(value, other[name]), name
    known.load(results[0])
    assert 0 < (known.size <= eps + ROUNDING).sum() < 50
    fooled = known.size < torch.inf
    delta = (known.fooling - known.x)[fooled]
    assert bool((model(known.x[fooled] + delta).argmax(1) != known.y[fooled]).all())
    assert torch.equal(model(known.fooling)[fooled].argmax(1), known.given[fooled])
    torch.testing.assert_close(BALLS[norm].size(delta), known.size[fooled])
    assert known.fooling.min() >= 0
    assert known.fooling.max() <= 1
    assert torch.equal(known.fooling[~fooled], known.x[~fooled])


def test_pgd_is_the_plain_loop():
    model, eps = net(2), 0.06
    known = board(model, 20, (1, 8, 8))
    keys = keys_of([str(one) for one in range(20)], seed=0, what="pgd")
    x = BALLS["linf"].noise(known.x, torch.full((20,), eps), keys, torch.zeros(20, dtype=torch.int64))
    for _ in range(7):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(x), known.y, reduction="sum"), x)
        x = (x.detach() + eps / 4 * gradient.sign()).clamp(known.x - eps, known.x + eps).clamp(0, 1)
    truth = model(x).argmax(1) != known.y
    oracle = attacked(Steps("pgd", BALLS["linf"], ce, 7, 0.25, last=True), model, known, "linf", eps, lanes=20)
    assert torch.equal(known.size <= eps + ROUNDING, truth)
    assert 0 < truth.sum() < 20
    assert oracle.forwards == 24 * 8  # 20 rows are filled up to 24


def test_apgd_is_stronger_than_pgd_of_as_many_steps_and_halves_its_steps_where_the_paper_does():
    attack = Apgd("apgd", BALLS["linf"], ce, num_steps=100)
    assert attack.stages[2].nonzero()[:, 0].tolist()[:6] == [22, 41, 57, 70, 80, 87]  # 22, then 3 fewer each, down to 6
    assert attack.stages[2].nonzero()[:, 0].tolist()[6:] == [93, 99]
    model, eps = net(3), 0.03
    found = []
    for one in (attack, Steps("pgd", BALLS["linf"], ce, 100, 1 / 30)):
        known = board(model, 60, (1, 8, 8))
        attacked(one, model, known, "linf", eps)
        found.append(int((known.size <= eps + ROUNDING).sum()))
    assert found[0] >= found[1] > 0


def test_square_sees_no_gradient_and_finds_what_a_masked_gradient_hides():
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.net((x * 64).round() / 64)

    model, eps = Masked(), 0.06
    blind, seen = board(model, 30, (1, 8, 8)), board(model, 30, (1, 8, 8))
    oracle = attacked(Square("square", BALLS["linf"], 300), model, seen, "linf", eps)
    attacked(Steps("fgsm", BALLS["linf"], margin, 1, 1.0, random_start=False), model, blind, "linf", eps)
    assert oracle.backwards == 0
    assert (seen.size <= eps + ROUNDING).sum() > (blind.size <= eps + ROUNDING).sum()


def test_a_model_that_gives_nan_is_told():
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :2] / 0 * 0

    known = Board.of(torch.rand(9, 1, 4, 4), torch.zeros(9, dtype=torch.int64))
    with pytest.raises(RunError, match="NaN"):
        run(
            Steps("pgd", BALLS["linf"], ce, 2, 0.5), Oracle(Broken()), known, BALLS["linf"],
            Work(torch.arange(9), known.y, known.y), eps=0.1, lanes=4, by=0,
        )  # fmt: skip


@pytest.mark.parametrize("number", range(len(suite("linf"))))
def test_a_run_that_is_written_and_read_again_in_the_middle_ends_the_same(number, tmp_path):
    model, found = net(), []
    for every_s in (1e9, -1.0):  # never; after every question
        known, attack = board(model, 30, (1, 8, 8)), suite("linf")[number]
        keys = keys_of([str(one) for one in range(30)], seed=0, what="pause")
        work, pauses = Work(torch.arange(30), (known.y + 1) % 4, keys), []

        def pause(work=work, known=known, pauses=pauses) -> None:
            torch.save((work, known.state()), tmp_path / "state.pt")
            read, state = torch.load(tmp_path / "state.pt", weights_only=False)
            vars(work).update(vars(read))
            known.load(state)
            pauses.append(work.place)

        run(attack, Oracle(model), known, BALLS["linf"], work, eps=0.05, lanes=8, by=3, pause=pause, every_s=every_s)
        found.append(known.state())
    assert pauses
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
