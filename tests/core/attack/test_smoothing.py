"""Certificates: the bound is statsmodels', the radius is true, and no batch changes it."""

import math

import pytest
import torch
from scipy.stats import binom, norm
from statsmodels.stats.proportion import proportion_confint
from torch import Tensor, nn

from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.randomness import keys_of
from vlmkit.core.attack.smoothing import ABSTAINS, certified_right, certify, largest, lower_bound, radius_of
from vlmkit.core.errors import InputError

SHAPE = (1, 2, 3)


class Plane(nn.Module):
    """Two classes on the two sides of w . x = b; |w| is 1."""

    def __init__(self) -> None:
        super().__init__()
        w = torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))
        self.w = w / w.norm()

    def away(self, x: Tensor) -> Tensor:
        return ((x - 0.5) * self.w).sum((1, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        z = self.away(x)
        return torch.stack([-z, z], 1)


def keys(count: int) -> Tensor:
    return keys_of([str(one) for one in range(count)], seed=0, what="smoothing")


@pytest.mark.parametrize("trials", [1, 100, 1000, 100_000])
@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_the_bound_is_that_of_statsmodels(trials, alpha):
    for successes in sorted({0, 1, trials // 2, trials - 1, trials}):
        expected = proportion_confint(successes, trials, alpha=2 * alpha, method="beta")[0]
        assert lower_bound(successes, trials, alpha) == pytest.approx(expected, abs=1e-9)


def test_the_largest_radius_is_the_published_one():
    assert largest(0.25, 1000, 0.001) == pytest.approx(0.25 * norm.ppf(0.001 ** (1 / 1000)), rel=1e-9)
    assert largest(1.0, 100_000, 0.001) == pytest.approx(3.8115, abs=1e-3)  # "about 4 sigma" of their figure
    assert largest(1.0, 5, 0.001) == 0
    assert radius_of(norm.cdf(1.5), 0.5) == pytest.approx(0.75, rel=1e-9)


def test_no_radius_is_longer_than_the_way_to_the_plane():
    count, alpha, sigma, model = 2000, 0.001, 0.25, Plane()
    x = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(4))
    away = model.away(x)
    found = [certify(Oracle(model), one, key, sigma=sigma) for one, key in zip(x, keys(count), strict=True)]
    radii = torch.tensor([one.radius for one in found])
    sure = torch.tensor([one.prediction for one in found]) != ABSTAINS
    too_long = int((radii > away.abs()).sum())
    assert too_long <= binom.ppf(0.999, count, alpha)
    assert too_long / count <= alpha
    right = torch.tensor([one.prediction for one in found]) == (away > 0)
    assert bool(right[sure].all())
    far = (away.abs() > 0.1) & (away.abs() < 0.5)
    assert int(far.sum()) > count // 3
    assert float((radii / away.abs())[far].mean()) > 0.75  # not by being timid
    assert bool((~sure)[away.abs() < 0.01].all())


def test_batches_do_not_change_it_and_images_do_not_share_noise():
    model, x = Plane(), torch.full(SHAPE, 0.52)
    one, other = keys(2)
    found = [certify(Oracle(model), x, one, sigma=0.3, lanes=lanes) for lanes in (7, 64, 1000)]
    assert found[0] == found[1] == found[2]
    assert certify(Oracle(model), x, other, sigma=0.3).votes != found[0].votes
    asked = Oracle(model)
    certify(asked, x, one, sigma=0.3, n0=96, samples=960, lanes=64)
    assert asked.forwards == 96 + 960


def test_a_denoiser_is_part_of_the_classifier():
    model, x = Plane(), torch.full(SHAPE, 0.5) + 0.05 * Plane().w
    (key,) = keys(1)
    plain = certify(Oracle(model), x, key, sigma=0.25)
    still = certify(Oracle(model), x, key, sigma=0.25, denoiser=lambda noisy: x.expand_as(noisy))
    assert plain.radius < 0.1
    assert still.votes == 1000
    assert still.radius == largest(0.25, 1000, 0.001)
    with pytest.raises(InputError, match="the denoiser gives"):
        certify(Oracle(model), x, key, sigma=0.25, denoiser=lambda noisy: noisy[:, :, :1])


def test_certified_accuracy_falls_with_the_radius():
    predictions, radii, y = (
        torch.tensor([1, 0, ABSTAINS, 2]),
        torch.tensor([0.3, 0.4, 0.0, 0.1]),
        torch.tensor([1, 1, 0, 2]),
    )
    shares = [float(certified_right(predictions, radii, y, r).float().mean()) for r in (0.0, 0.1, 0.2, 0.31)]
    assert shares == [0.5, 0.5, 0.25, 0.0]
    assert math.isclose(lower_bound(0, 10, 0.001), 0.0)
