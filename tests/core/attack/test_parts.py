"""What attacks are made of: balls, planes, losses, random numbers."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.stats import kstest

from vlmkit.core.attack.balls import BALLS, wide
from vlmkit.core.attack.board import ROUNDING
from vlmkit.core.attack.losses import LOSSES, dlr, dlr_to, margin, pma
from vlmkit.core.attack.planes import to_plane
from vlmkit.core.attack.randomness import keys_of, normal, uniform

NORMS = {"linf": np.inf, "l2": 2, "l1": 1}


def images(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, some pixels at the ends of the box, and points far from them."""
    draw = torch.Generator().manual_seed(seed)
    x0 = (1.4 * torch.rand(count, 3, 5, 4, generator=draw) - 0.2).clamp(0, 1)
    return x0, x0 + torch.randn(x0.shape, generator=draw)


@pytest.mark.parametrize("norm", NORMS)
def test_projections_land_within_ball_and_box_and_stay_there(norm):
    ball, (x0, x) = BALLS[norm], images(40)
    eps = torch.linspace(0.01, 3, 40)
    found = ball.project(x, x0, eps)
    assert bool((ball.size(found - x0) <= eps * (1 + 1e-5) + 1e-6).all())
    assert found.min() >= 0
    assert found.max() <= 1
    torch.testing.assert_close(ball.project(found, x0, eps), found, atol=2e-6, rtol=0)
    inside = x0 + (0.001 * (x - x0)).clamp(-x0, 1 - x0)
    torch.testing.assert_close(ball.project(inside, x0, torch.full((40,), 9.0)), inside)
    size = torch.tensor([np.linalg.norm(d.flatten(), NORMS[norm]) for d in (x - x0).numpy()])
    torch.testing.assert_close(ball.size(x - x0), size)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 8 / 255), ("l2", 2.0), ("l2", 5.0), ("l1", 3.0), ("l1", 24.0)])
def test_rounding_puts_no_point_of_a_sphere_outside_of_it(norm, eps):
    ball, draw = BALLS[norm], torch.Generator().manual_seed(3)
    x0 = (255 * (0.3 + 0.4 * torch.rand(8, 3, 64, 64, generator=draw))).round() / 255
    radii = torch.full((8,), eps)
    x = ball.project(x0 + 3 * eps * ball.ascent(torch.randn(x0.shape, generator=draw)), x0, radii)
    assert bool((ball.size(x - x0) <= radii + ROUNDING).all())
    exact = np.linalg.norm((x.double() - x0.double()).flatten(1).numpy(), NORMS[norm], axis=1)
    assert exact.max() <= eps + ROUNDING
    assert exact.min() >= eps * (1 - 1e-4)


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_no_point_of_ball_and_box_is_nearer_than_the_projection(norm):
    ball, (x0, x) = BALLS[norm], images(30, seed=1)
    eps = torch.linspace(0.1, 4, 30)
    found, draw = ball.project(x, x0, eps), torch.Generator().manual_seed(2)
    gap = (x - found).flatten(1).norm(dim=1)
    for _ in range(300):
        other = ball.project(found + 0.1 * torch.randn(x.shape, generator=draw), x0, eps)
        assert bool(((x - other).flatten(1).norm(dim=1) >= gap - 1e-4).all())


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_step_of_steepest_ascent_has_size_one_and_gains_the_dual_norm(norm):
    gradient = torch.randn(6, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    step = BALLS[norm].ascent(gradient)
    torch.testing.assert_close(BALLS[norm].size(step), torch.ones(6))
    dual = {"linf": 1, "l2": 2}[norm]
    gain = torch.tensor([np.linalg.norm(one.flatten(), dual) for one in gradient.numpy()])
    torch.testing.assert_close((step * gradient).flatten(1).sum(1), gain)


@pytest.mark.parametrize("norm", NORMS)
def test_noise_depends_on_the_image_alone_and_lies_in_the_ball(norm):
    x0, eps = images(12)[0], torch.full((12,), 0.3)
    keys, counts = keys_of([str(one) for one in range(12)], seed=3, what="noise"), torch.zeros(12, dtype=torch.int64)
    found = BALLS[norm].noise(x0, eps, keys, counts)
    assert bool((BALLS[norm].size(found - x0) <= eps * (1 + 1e-5)).all())
    some = torch.tensor([7, 2])
    assert torch.equal(BALLS[norm].noise(x0[some], eps[some], keys[some], counts[some]), found[some])
    assert not torch.equal(BALLS[norm].noise(x0, eps, keys, counts + 1), found)


def test_random_numbers_are_splitmix64():
    def splitmix(state: int, count: int) -> list[int]:
        found, mask = [], (1 << 64) - 1
        for _ in range(count):
            state = (state + 0x9E3779B97F4A7C15) & mask
            z = state
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
            found.append(z ^ (z >> 31))
        return found

    keys = keys_of(["a", "b"], seed=5, what="x")
    whole = torch.cat([uniform(keys, torch.full((2,), block), (3, 2)).flatten(1) for block in range(4)], dim=1)
    for key, row in zip(keys.tolist(), whole.tolist(), strict=True):
        assert row == [(one >> 40) / 2**24 for one in splitmix(key % (1 << 64), 24)]
    many = normal(keys_of(["c"], seed=0, what=""), torch.zeros(1, dtype=torch.int64), (20_000,))[0]
    assert kstest(many.numpy(), "norm").pvalue > 0.01


@pytest.mark.parametrize("norm", NORMS)
def test_the_way_to_a_plane_is_the_shortest_in_the_box(norm):
    draw = np.random.default_rng(0)
    for _ in range(20):
        x, w = draw.random(7), draw.normal(size=7) * (draw.random(7) < 0.8)
        w[0] = 0.3
        most = float(np.abs(w) @ np.where(w > 0, 1 - x, x))
        c = draw.uniform(0.05, 0.95) * most
        d = to_plane(*(torch.tensor(one)[None] for one in (x, w)), torch.tensor([c]), norm=norm)[0].numpy()
        assert w @ d == pytest.approx(c, rel=1e-6)
        assert (x + d).min() >= -1e-9
        assert (x + d).max() <= 1 + 1e-9
        size = np.linalg.norm(d, NORMS[norm])
        if norm == "l2":  # no mixture with another solution is shorter: the gradient 2d is normal to what is free
            free = (x + d > 1e-9) & (x + d < 1 - 1e-9) & (w != 0)
            ratio = d[free] / w[free]
            assert np.ptp(ratio) < 1e-6 if free.any() else True
            assert (np.abs(d[~free & (w != 0)]) <= np.abs(w[~free & (w != 0)]) * ratio.mean() + 1e-6).all()
            continue
        if norm == "linf":  # least t with |d| <= t
            bounds = [(-a, 1 - a) for a in x] + [(0, None)]
            eye = np.eye(7)
            best = linprog(
                [0] * 7 + [1], A_ub=np.block([[eye, -np.ones((7, 1))], [-eye, -np.ones((7, 1))]]), b_ub=np.zeros(14),
                A_eq=[[*w, 0]], b_eq=[c], bounds=bounds,
            ).fun  # fmt: skip
        else:  # d = u - v
            bounds = [(0, 1 - a) for a in x] + [(0, a) for a in x]
            best = linprog(np.ones(14), A_eq=[[*w, *-w]], b_eq=[c], bounds=bounds).fun
        assert size == pytest.approx(best, rel=1e-6)


def test_losses_are_their_formulas():
    logits = torch.tensor([[3.0, 1.0, 2.5, -1.0], [0.0, 4.0, 1.0, 2.0]])
    y, t = torch.tensor([0, 3]), torch.tensor([1, 1])
    torch.testing.assert_close(margin(logits, y, t), torch.tensor([-0.5, 2.0]))
    torch.testing.assert_close(dlr(logits, y, t), torch.tensor([-0.5 / 2.0, 2.0 / 3.0]))
    torch.testing.assert_close(dlr_to(logits, y, t), torch.tensor([-2.0 / (3 - 0.0), 2.0 / (4 - 0.5)]))
    p = logits.softmax(1)
    torch.testing.assert_close(pma(logits, y, t), torch.stack([p[0, 2] - p[0, 0], p[1, 1] - p[1, 3]]))
    for classes in (2, 3):
        for loss in LOSSES.values():
            few = loss(logits[:, :classes], torch.tensor([0, 1]), torch.tensor([1, 0]))
            assert bool(few.isfinite().all())
    assert wide(torch.ones(3)).shape == (3, 1, 1, 1)
