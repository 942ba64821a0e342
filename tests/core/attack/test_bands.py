"""Bands of frequencies: they are scipy's, they add up, and attacks stay in theirs."""

import pytest
import torch
from scipy.fft import dctn
from torch import Tensor, nn

from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.bands import (
    BANDS,
    cutoff_of,
    dct,
    inverse,
    mask,
    part,
    radial,
    right_with,
    right_without,
    shares,
)
from vlmkit.core.attack.confined import Confined
from vlmkit.core.attack.ends import ends
from vlmkit.core.attack.losses import ce, margin
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.steps import Steps
from vlmkit.core.attack.transfer import transfers

SHAPES = [(1, 8, 8), (3, 28, 20), (2, 7, 9)]


def noise(count: int, *shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_transform_is_scipys(shape):
    d = noise(3, *shape)
    expected = torch.from_numpy(dctn(d.double().numpy(), axes=(2, 3), norm="ortho"))
    torch.testing.assert_close(dct(d), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(inverse(dct(d)), d.double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_three_bands_add_up_and_their_energies_do(shape):
    d, f = noise(3, *shape), 3
    parts = {band: part(d, band, f) for band in BANDS}
    torch.testing.assert_close(sum(parts.values()), d, atol=1e-6, rtol=0)
    assert bool((sum(mask(*shape[1:], band, f).int() for band in BANDS) == 1).all())
    assert int(mask(*shape[1:], "low", f).sum()) == f * f
    for band, share in shares(d, f).items():
        energy = (parts[band].double() ** 2).sum((1, 2, 3)) / (d.double() ** 2).sum((1, 2, 3))
        torch.testing.assert_close(share, energy, atol=1e-6, rtol=0)
        torch.testing.assert_close(part(parts[band], band, f), parts[band], atol=1e-6, rtol=0)


def test_the_cutoff_is_the_papers_share():
    assert [cutoff_of(224, 224), cutoff_of(384, 384), cutoff_of(28, 28), cutoff_of(8, 20)] == [32, 55, 4, 1]


def test_white_noise_is_flat_and_a_wave_is_in_its_ring():
    flat = radial(noise(400, 3, 16, 16)).mean(0)
    assert len(flat) == 16
    assert flat.sum() == pytest.approx(1)
    assert float((flat * 16 - 1).abs().max()) < 0.1  # the last ring has one coefficient of 1,200: deviation 0.04
    wave = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    wave[0, 0, 5, 5] = 2.0
    assert radial(inverse(wave))[0, 5] == pytest.approx(1)
    assert bool(radial(torch.zeros(1, 1, 4, 4)).isnan().all())


class Plane(nn.Module):
    """Two classes on the two sides of w . (x - 1/2) = b."""

    def __init__(self, w: Tensor, b: float) -> None:
        super().__init__()
        self.w, self.b = w, b

    def forward(self, x: Tensor) -> Tensor:
        z = ((x - 0.5) * self.w).sum((1, 2, 3)) - self.b
        return torch.stack([-z, z], 1)


def middles(count: int) -> tuple[Tensor, Tensor, list[str]]:
    """Grey images, far from the edges of the box."""
    x = 0.5 + noise(count, 1, 12, 12, scale=0.02)
    return x, torch.zeros(count, dtype=torch.int64), [str(one) for one in range(count)]


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("band", ["low", "high"])
def test_a_confined_attack_stays_in_its_band_and_in_the_ball(norm, band):
    x, y, ids = middles(10)
    x[:5] = (noise(5, 1, 12, 12) > 0).float()  # at the edges of the box
    attack, eps = Confined("pgd", BALLS[norm], ce, band, num_steps=10, cutoff=3), 0.1
    oracle = Oracle(Plane(noise(1, 1, 12, 12), 3.0))
    points = ends(attack, oracle, x, y, ids, eps=eps, lanes=8, seed=0).last
    assert float(points.min()) >= 0
    assert float(points.max()) <= 1
    assert bool((BALLS[norm].size(points - x) <= eps + 6e-8).all())
    torch.testing.assert_close(part(points[5:] - x[5:], band, 3), points[5:] - x[5:], atol=1e-6, rtol=0)
    assert torch.equal(points, ends(attack, oracle, x, y, ids, eps=eps, lanes=3, seed=0).last)


def test_in_l2_a_confined_attack_finds_the_best_change_of_its_band():
    x, y, ids = middles(6)
    w = noise(1, 1, 12, 12)
    model, eps = Plane(w, 100.0), 0.2
    for band in BANDS:
        attack = Confined("pgd", BALLS["l2"], margin, band, cutoff=4)
        d = ends(attack, Oracle(model), x, y, ids, eps=eps, lanes=8, seed=0).last - x
        gained = (d * w).sum((1, 2, 3))
        torch.testing.assert_close(gained, torch.full((6,), eps * float(part(w, band, 4).norm())), rtol=1e-3, atol=0)


def test_a_model_of_low_frequencies_is_fooled_by_low_frequencies_alone():
    x, y, ids = middles(20)
    w = part(noise(1, 1, 12, 12), "low", 3)
    oracle = Oracle(Plane(w / w.norm(), 0.15))
    points = ends(Steps("pgd", BALLS["linf"], ce, 20, 0.1), oracle, x, y, ids, eps=0.05, lanes=8, seed=0).last
    found = {name: float(one.float().mean()) for name, one in right_with(oracle, x, y, points - x, 3, lanes=8).items()}
    assert found["low"] == found["all"] == found["without high"] == found["without mixed"] == 0
    assert found["high"] == found["mixed"] == found["without low"] == 1
    high = Confined("pgd-high", BALLS["linf"], ce, "high", cutoff=3)
    held = ends(high, oracle, x, y, ids, eps=0.05, lanes=8, seed=0).worst
    torch.testing.assert_close(oracle.logits(held), oracle.logits(x), atol=1e-5, rtol=0)


def test_what_a_model_needs_of_an_image():
    w = part(noise(1, 1, 12, 12), "high", 3)
    x = (0.5 - 0.1 * w.sign()).expand(4, -1, -1, -1)
    y = torch.zeros(4, dtype=torch.int64)
    found = right_without(Oracle(Plane(w, -0.5)), x, y, 3, lanes=8)
    assert [bool(found[band].all()) for band in BANDS] == [True, True, False]


def test_each_source_is_attacked_once_and_the_diagonal_is_white_box():
    x, y, ids = middles(24)
    planes = [(0, 2.0), (0, 2.0), (5, -2.0)]  # the last one has its classes the other way round
    oracles = [Oracle(Plane(noise(1, 1, 12, 12).roll(shift, 3), b)) for shift, b in planes]
    attack = Steps("fgsm", BALLS["linf"], ce, 1, 1.0, random_start=False)
    rows = list(transfers(oracles, x, [y, y, 1 - y], ids, attack, eps=0.05, lanes=8, seed=0))
    assert [one.backwards for one in oracles] == [48] * 3  # two points an image, k sources and not k^2
    for source, (points, right) in enumerate(rows):
        own = oracles[source].logits(points).argmax(1) == (1 - y if source == 2 else y)
        assert torch.equal(right[source], own)
    assert torch.equal(rows[0][1], rows[1][1])  # the same model twice
    accuracy = torch.stack([right.float().mean(1) for _, right in rows])
    assert accuracy[0, 0] == 0
    assert accuracy[0, 2] == 1
