"""Suites over several radii: never rising, not weaker than AutoAttack's settings, much cheaper."""

import pytest
import torch
from torch import nn

from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.curve import Place, Subject, measure, steps_of, work_on
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.suites import SUITES
from vlmkit.core.attack.trail import FileTrail

RADII = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08)


def net(classes: int = 5) -> nn.Module:
    """A small network that is not masked."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.GELU(), nn.Flatten(), nn.Linear(8 * 36, 24), nn.GELU(), nn.Linear(24, classes)
    )


def subject(model: nn.Module, count: int = 24, norm: str = "linf") -> Subject:
    """Random images with the model's labels, two of them wrong."""
    x = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1).detach()
    y[:2] = (y[:2] + 1) % len(model(x)[0])
    return Subject.of(Oracle(model), x, y, [f"i{one}" for one in range(count)], BALLS[norm], lanes=16)


def curve(found: Subject, radii: tuple[float, ...] = RADII) -> list[int]:
    """Images that are right at each radius."""
    return [int(found.robust(eps).sum()) for eps in radii]


def test_the_standard_suite_is_not_weaker_than_the_gradients_of_autoattack_and_never_rises():
    model, radii = net(), (0.05, 0.15, 0.3)
    ours = subject(model, count=12)
    measure(ours, SUITES["standard"](ours.ball, 5)[:7], radii, lanes=16, seed=0)
    theirs, cost = [], 0
    for eps in radii:
        peer = subject(model, count=12)
        measure(peer, SUITES["autoattack"](peer.ball, 5)[:5], [eps], lanes=16, seed=0)  # APGD-CE and four targets
        theirs.append(int(peer.robust(eps).sum()))
        cost += peer.oracle.forwards
    assert all(a <= b for a, b in zip(curve(ours, radii), theirs, strict=True))
    assert curve(ours, radii) == sorted(curve(ours, radii), reverse=True)
    assert 10 >= curve(ours, radii)[0] > curve(ours, radii)[-1]
    assert ours.oracle.forwards <= cost / 2
    assert not ours.robust(0.0)[:2].any()
    fooled = ours.board.size.isfinite()
    assert bool((model(ours.board.fooling)[fooled].argmax(1) != ours.board.y[fooled]).all())
    assert torch.equal(ours.board.fooling[:2], ours.board.x[:2])


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
@pytest.mark.parametrize("name", ["standard", "fast", "shao2021"])
def test_suites_run_with_any_number_of_classes(name, classes):
    found = subject(net(classes), count=9)
    measure(found, SUITES[name](found.ball, classes)[:3], [0.3], lanes=16, seed=0)
    assert found.robust(0.01).sum() >= found.robust(0.3).sum()


def test_flags_depend_neither_on_lanes_nor_on_company():
    model, results = net(), []
    for lanes in (8, 16, 64):
        found = subject(model)
        measure(found, SUITES["fast"](found.ball, 5), RADII[::2], lanes=lanes, seed=3)
        results.append(found.board.state())
    for other in results[1:]:
        assert all(torch.equal(value, other[name]) for name, value in results[0].items())


def test_what_later_radii_begin_from_lies_within_them_and_each_change_has_its_attack():
    found = subject(net(), count=20)
    rounds = SUITES["fast"](found.ball, 5)
    radii, seen = (0.05, 0.15, 0.3), []

    def told(name: str, eps: float, robust: float, done: float) -> None:
        seen.append((name, eps, robust))
        assert done == len(seen)
        assert bool((found.ball.size(found.board.nearest - found.board.x) <= eps + 1e-6).all())

    measure(found, rounds, radii, lanes=16, seed=0, told=told)
    names = [one.name for one in rounds]
    last = ["more-steps", "nearer", "bisect"]
    assert [name for name, _, _ in seen] == [*names, "nearer", *2 * ["shorter", *names], *last]
    assert seen[-4][2] == found.robust(0.05).float().mean()
    fooled = found.board.size.isfinite()
    steps = steps_of(found.ball, rounds, radii)
    for by, size in zip(found.board.by[fooled].tolist(), found.board.size[fooled].tolist(), strict=True):
        eps = steps[by].eps
        assert eps is None or size <= eps + 1e-6
    assert bool((found.board.by[~fooled] == -1).all())


def test_the_least_radius_of_a_linear_model_is_found_by_the_whole_curve():
    draw = torch.Generator().manual_seed(0)
    w, x = torch.randn(64, generator=draw), 0.4 + 0.2 * torch.rand(30, 1, 8, 8, generator=draw)

    class Plane(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            score = (x - 0.5).flatten(1) @ w
            return torch.stack([-score / 2, score / 2], 1)

    truth = ((x - 0.5).flatten(1) @ w).abs() / w.abs().sum()
    y = Plane()(x).argmax(1)
    found = Subject.of(Oracle(Plane()), x, y, [str(one) for one in range(30)], BALLS["linf"], lanes=16)
    radii = (0.002, 0.005, 0.01, 0.05)
    measure(found, SUITES["standard"](found.ball, 2)[:2], radii, lanes=16, seed=0)
    large = truth > 3e-3  # of less, 1e-4 is below what pixels in float32 resolve
    assert large.sum() > 10
    torch.testing.assert_close(found.board.size[large], truth[large], rtol=1e-4, atol=0)
    assert curve(found, radii) == [int((truth > eps).sum()) for eps in radii]


@pytest.mark.parametrize(
    ("rows", "shift", "slack"), [(1, 1e-4, 4e-4), (7, 1e-4, 4e-4), (8, 1e-4, 1e-7), (1, 0.1, 2e-3)]
)
def test_the_slack_is_what_other_batches_change(rows, shift, slack):
    class Shifting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = torch.tensor([[0.0, 2.0]]).expand(len(x), 2) + 0 * x.flatten(1)[:, :2]
            return logits - shift * (len(x) == rows)

    x, y = torch.rand(16, 1, 4, 4), torch.ones(16, dtype=torch.int64)
    ids = [str(one) for one in range(16)]
    found = Subject.of(Oracle(Shifting()), x, y, ids, BALLS["linf"], lanes=16)
    assert found.board.slack == pytest.approx(slack, rel=0.02, abs=2e-7)


def test_changes_are_brought_nearer_in_the_class_that_they_have():
    found = subject(net(), count=8)
    found.board.given[:] = (found.board.y + torch.tensor([1, 2, 3, 4] * 2)) % 5
    nearer = next(step.one for step in steps_of(found.ball, [], [0.1, 0.2]) if step.one.name == "nearer")
    chosen = torch.arange(8) % 2 == 0
    assert torch.equal(work_on(found, nearer, chosen, 0.1, seed=0).targets, found.board.given[chosen])


def test_a_place_is_read_back_as_it_was_written(tmp_path, monkeypatch):
    found, other = subject(net(), count=8), subject(net(), count=8)
    rounds = SUITES["autoattack"](found.ball, 5)[:1]
    places: list[Place] = []

    class Stopping(FileTrail):
        def save(self, subject: Subject, place: Place) -> None:
            super().save(subject, place)
            if len(place.done) == 1 and place.work is not None and place.work.active is not None:
                places.append(place)
                raise KeyboardInterrupt

    trail = Stopping(tmp_path / "place.safetensors")
    monkeypatch.setattr("vlmkit.core.attack.lanes.EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        measure(found, rounds, [0.01, 0.02], lanes=8, seed=0, fresh=True, trail=trail)
    (place,), back = places, FileTrail(trail.path).load(other)
    assert (back.done, back.eps, back.passes) == (place.done, place.eps, place.passes)
    assert set(back.held) == {0.02}
    assert torch.equal(back.held[0.02], place.held[0.02])
    for name in ("rows", "targets", "keys", "hit", "active"):
        assert torch.equal(getattr(back.work, name), getattr(place.work, name)), name
    assert all(torch.equal(value, back.work.state[name]) for name, value in place.work.state.items())
    assert all(torch.equal(value, other.board.state()[name]) for name, value in found.board.state().items())
    assert (other.oracle.forwards, other.oracle.backwards) == (found.oracle.forwards, found.oracle.backwards)
