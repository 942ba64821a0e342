"""Each attack asks about the points that a plain loop, written from its paper, would; the board keeps what it says."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vlmkit.core.attack.apgd import Apgd, steepest
from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.board import Board
from vlmkit.core.attack.fab import Fab
from vlmkit.core.attack.lanes import Attack, Lane, State, Work, run
from vlmkit.core.attack.losses import LOSSES, ce, margin
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.planes import to_plane
from vlmkit.core.attack.randomness import keys_of, signs, uniform
from vlmkit.core.attack.square import Square
from vlmkit.core.attack.steps import Steps

COUNT, EPS = 12, 0.2


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 16), nn.ReLU(), nn.Linear(16, 4)
    )


@pytest.fixture
def lane(net) -> Lane:
    x = torch.rand(COUNT, 2, 8, 8, generator=torch.Generator().manual_seed(6))
    y = net(x).argmax(1)
    keys = keys_of([str(one) for one in range(COUNT)], seed=1, what="paths")
    return Lane(x, x, x, y, (y + 1) % 4, torch.full((COUNT,), EPS), keys)


def path(attack: Attack, model: nn.Module, lane: Lane, count: int) -> tuple[list[Tensor], State]:
    """The first points that an attack asks about, fooled or not, and its state then."""
    state = attack.start(lane) | {"eps": lane.eps, "t": lane.t, "y": lane.y}
    points, oracle = [], Oracle(model)
    for _ in range(count):
        points.append(attack.ask(state).clone())
        if attack.loss is None:
            logits = oracle.logits(points[-1])
            values, gradient = torch.zeros(len(logits)), torch.zeros_like(points[-1])
        else:
            logits, values, gradient = oracle.gradient(points[-1], lane.y, lane.t, attack.loss)
        attack.tell(state, logits, values, gradient)
    return points, state


def ascent(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, Tensor]:
    """Cross-entropy of one image and its gradient."""
    x = x.detach().requires_grad_()
    loss = nn.functional.cross_entropy(model(x[None]), y[None])
    return float(loss.detach()), torch.autograd.grad(loss, x)[0]


def near(a: Tensor, b: Tensor) -> bool:
    """Equal but for rounding; the sign of a gradient of nearly zero may differ in a few pixels."""
    return float(((a - b).abs() > 1e-5).float().mean()) < 0.02


def test_apgd_goes_the_way_of_its_algorithm(net, lane):
    steps, halvings, returns = 60, 0, 0
    points, _ = path(Apgd("apgd", BALLS["linf"], ce, steps), net, lane, steps + 1)
    known = [Oracle(net).gradient(x, lane.y, lane.t, ce)[1:] for x in points]  # to the bit, for losses are compared
    for one in range(COUNT):
        x0, y = lane.x0[one], lane.y[one]

        def project(x: Tensor, x0: Tensor = x0) -> Tensor:
            return x.clamp(x0 - EPS, x0 + EPS).clamp(0, 1)

        x = points[0][one]
        assert near(x, project(x))
        loss, gradient = float(known[0][0][one]), known[0][1][one]
        assert loss == pytest.approx(ascent(net, x, y)[0], rel=1e-4)
        torch.testing.assert_close(gradient, ascent(net, x, y)[1])
        best, best_loss, best_gradient, step = x, loss, gradient, 2 * EPS
        losses, before = [loss], x
        interval, since = max(int(0.22 * steps), 1), 0
        checked_loss, halved = loss, True
        for k in range(steps):
            z = project(x + step * gradient.sign())
            share = 0.75 if k else 1.0
            new = project(x + share * (z - x) + (1 - share) * (x - before))
            before, x = x, new
            assert near(points[k + 1][one], x), (one, k)
            x = points[k + 1][one]
            loss, gradient = float(known[k + 1][0][one]), known[k + 1][1][one]
            losses.append(loss)
            if loss > best_loss:
                best, best_loss, best_gradient = x, loss, gradient
            since += 1
            if since == interval:
                rises = sum(b > a for a, b in zip(losses[-since - 1 : -1], losses[-since:], strict=True))
                few, stuck = rises <= 0.75 * since, not halved and checked_loss >= best_loss
                halved = few or stuck
                halvings += halved
                if halved:
                    returns += not torch.equal(x, best)
                    step, x, gradient = step / 2, best, best_gradient
                checked_loss = best_loss
                interval, since = max(interval - max(int(0.03 * steps), 1), max(int(0.06 * steps), 1)), 0
    assert halvings > COUNT
    assert returns


def test_apgd_halves_its_step_where_an_interval_brought_nothing_new(lane):
    attack, zero = Apgd("apgd", BALLS["linf"], ce, 100), torch.zeros(4)
    state = {
        "done": torch.tensor([22, 22, 22, 23]), "rises": zero + 22, "halved": torch.tensor([False, True, False, False]),
        "check_loss": zero + 3, "best_loss": torch.tensor([3.0, 3.0, 4.0, 3.0]), "step": zero + 8, "x": lane.x0[:4],
        "best": lane.x0[4:8], "best_gradient": lane.x0[8:12],
    }  # fmt: skip
    x, gradient = attack.halve(state, -lane.x0[:4])
    assert state["step"].tolist() == [4, 8, 8, 8]  # nothing new; nothing new behind a halving; better; no end of one
    assert torch.equal(x, torch.cat([lane.x0[4:5], lane.x0[1:4]]))
    assert torch.equal(gradient, torch.cat([lane.x0[8:9], -lane.x0[1:4]]))
    assert state["halved"].tolist() == [True, False, False, False]
    assert state["check_loss"].tolist() == [3, 3, 4, 3]
    assert state["rises"].tolist() == [0, 0, 0, 22]


def test_apgd_from_outside_comes_in_by_stages_each_from_the_best_point_of_the_last(net, lane):
    steps, ball = 20, BALLS["linf"]
    points, _ = path(Apgd("outside", ball, margin, steps, outside=True), net, lane, steps + 1)
    known = [Oracle(net).gradient(x, lane.y, lane.t, margin)[1:] for x in points]
    for x, times in zip(points, [3] * 6 + [2] * 6 + [1] * 9, strict=True):
        assert bool((ball.size(x - lane.x0) <= times * EPS + 1e-6).all())
    assert bool((ball.size(points[5] - lane.x0) > 2 * EPS).any())
    for begin, times in ((6, 2), (12, 1)):
        best = torch.stack([loss for loss, _ in known[begin - 6 : begin]]).argmax(0)
        x = torch.stack(points[begin - 6 : begin])[best, torch.arange(COUNT)]
        assert torch.equal(points[begin], ball.project(x, lane.x0, times * lane.eps))
        far = points[begin] + 2 * times * EPS * known[begin][1].sign()  # again with a first step of twice the radius
        torch.testing.assert_close(points[begin + 1], ball.project(far, lane.x0, times * lane.eps))


def test_squares_of_a_part_of_the_schedule_are_as_large_as_there():
    whole = Square("whole", BALLS["linf"], 10_000).shares
    for first, last in ((0, 5000), (300, 4000), (1000, 10_000)):
        part = Square("part", BALLS["linf"], (last - first) // 10, first=first, last=last).shares
        assert torch.equal(part, whole[first : last + 1 : 10])


def test_apgd_in_l1_steps_among_fewer_pixels_and_begins_again_where_the_change_became_sparser(lane):
    attack, eps = Apgd("apgd", BALLS["l1"], ce, 100), torch.full((4,), 6.0)
    best, gradient = lane.x0[:4].clone(), -lane.x0[4:8]
    best[:, 0, :3] = 2.0  # 24 of 128 pixels
    state = {
        "done": torch.tensor([4, 8, 12, 13]), "changed": torch.tensor([60.0, 24.0, 25.0, 60.0]), "best": best,
        "step": torch.tensor([3.0, 3.0, 0.6, 3.0]), "share": torch.full((4,), 0.2), "x": lane.x0[4:8],
        "x0": lane.x0[:4], "best_gradient": lane.x0[8:],
    }  # fmt: skip
    x, found = attack.refocus(state, gradient, eps)
    torch.testing.assert_close(state["step"], torch.tensor([6.0, 2.0, 0.6, 3.0]))  # sparser; not; least; no end
    torch.testing.assert_close(state["share"], torch.tensor([0.125, 0.125, 0.125, 0.2]))  # 24 / 1.5 of 128
    assert state["changed"].tolist() == [24, 24, 24, 60]
    assert torch.equal(x, torch.cat([best[:1], lane.x0[5:8]]))
    assert torch.equal(found, torch.cat([lane.x0[8:9], gradient[1:]]))
    step = steepest(gradient, state["share"])
    assert (step != 0).flatten(1).sum(1).tolist() == [16, 16, 16, 26]
    torch.testing.assert_close(step.abs().flatten(1).sum(1), torch.ones(4))
    assert bool((step * gradient >= 0).all())
    for row in range(4):
        moves = step[row] != 0
        assert gradient[row].abs()[moves].min() > gradient[row].abs()[~moves].max()


def test_momentum_gathers_gradients_of_mean_size_one(net, lane):
    points, _ = path(Steps("mi", BALLS["linf"], ce, 6, 0.1, random_start=False, momentum=0.9), net, lane, 7)
    for one in range(COUNT):
        x, gathered = lane.x0[one], torch.zeros_like(lane.x0[one])
        for k in range(6):
            assert near(points[k][one], x)
            gradient = ascent(net, x, lane.y[one])[1]
            gathered = 0.9 * gathered + gradient / gradient.abs().mean()
            x = (x + 0.1 * EPS * gathered.sign()).clamp(lane.x0[one] - EPS, lane.x0[one] + EPS).clamp(0, 1)


def test_square_keeps_what_is_better_and_draws_squares_as_the_paper_says(net, lane):
    queries = 40
    points, state = path(Square("square", BALLS["linf"], queries), net, lane, queries)
    taken = 0
    for one in range(COUNT):
        x0, y, key = lane.x0[one], lane.y[one], lane.keys[one : one + 1]
        stripes = signs(key, torch.zeros(1, dtype=torch.int64), (2, 1, 8))[0]
        best, best_margin = (x0 + EPS * stripes.expand(2, 8, 8)).clamp(0, 1), -math.inf
        candidate = best
        for k in range(queries):
            torch.testing.assert_close(points[k][one], candidate)
            logits = net(candidate[None])[0]
            found = float(torch.cat([logits[:y], logits[y + 1 :]]).max() - logits[y])
            if found > best_margin:
                best, best_margin = candidate, found
                taken += k > 0
            at = (k + 1) * 10_000 // queries
            halvings = sum(at > one for one in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
            side = min(max(round(math.sqrt(0.8 / 2**halvings * 64)), 1), 8)
            drawn = uniform(key, torch.tensor([k + 1]), (4,))[0].tolist()
            top, left = int(drawn[0] * (9 - side)), int(drawn[1] * (9 - side))
            candidate = best.clone()
            for channel in range(2):
                patch = x0[channel, top : top + side, left : left + side] + (EPS if drawn[2 + channel] >= 0.5 else -EPS)
                candidate[channel, top : top + side, left : left + side] = patch.clamp(0, 1)
        torch.testing.assert_close(state["best"][one], best)
    assert COUNT < taken < COUNT * queries // 2


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fab_steps_between_the_planes_nearest_to_here_and_to_the_image(net, lane, norm):
    points, _ = path(Fab("fab", BALLS[norm], 4), net, lane, 4)
    order, crossed = {"linf": np.inf, "l2": 2}[norm], 0
    for one in range(COUNT):
        x, x0, y, t = lane.x0[one], lane.x0[one], lane.y[one], lane.t[one]
        for k in range(4):
            torch.testing.assert_close(points[k][one], x, atol=2e-5, rtol=0)
            x = points[k][one].detach().requires_grad_()
            logits = net(x[None])[0]
            (w,) = torch.autograd.grad(logits[t] - logits[y], x)
            if logits.argmax() != y:
                x, crossed = x0 + 0.9 * (x - x0), crossed + 1
                continue
            lacks = float((logits[y] - logits[t]).detach())

            def onto(start: Tensor, lacks: float, w: Tensor = w) -> Tensor:
                sign = 1.0 if lacks >= 0 else -1.0
                flat = (start.detach().reshape(1, -1), sign * w.reshape(1, -1), torch.tensor([abs(lacks)]))
                return to_plane(*flat, norm=norm).reshape(start.shape)

            here, there = onto(x, lacks), onto(x0, lacks - float((w * (x0 - x.detach())).sum()))
            a, b = (max(float(np.linalg.norm(d.flatten().numpy(), order)), 1e-8) for d in (here, there))
            pull = min(a / (a + b), 0.1)
            x = ((x.detach() + 1.05 * here) * (1 - pull) + (x0 + 1.05 * there) * pull).clamp(0, 1)
    assert crossed


def test_the_board_keeps_the_smallest_change_and_what_is_nearest_within_the_radius():
    known, ball = Board.of(torch.full((2, 1, 2, 2), 0.5), torch.tensor([0, 0]), slack=1e-6), BALLS["linf"]
    rows, eps = torch.tensor([1]), torch.tensor([0.2])

    def tell(by: int, change: float, *logits: float) -> bool:
        return bool(known.tell(rows, known.x[rows] + change, torch.tensor([logits]), ball, eps=eps, by=by)[0])

    assert tell(3, 0.1, 1.0, 2.0, 0.0)
    assert not tell(4, 0.3, 0.0, 0.0, 5.0)  # it fools the model, but from outside
    assert (known.size[1], known.by[1], known.given[1]) == (pytest.approx(0.1), 3, 1)
    assert known.closest[1] == 1.0
    assert tell(5, 0.05, 1.0, 1.0, 1.5)
    assert tell(6, 0.15, 0.0, 0.0, 1.5)
    assert (known.size[1], known.by[1], known.given[1]) == (pytest.approx(0.05), 5, 2)
    torch.testing.assert_close(known.fooling[1], known.x[1] + 0.05)
    assert known.closest[1] == 1.5
    torch.testing.assert_close(known.nearest[1], known.x[1] + 0.15)
    assert not tell(7, 0.01, 1.0, 1.0 + 1e-7, 0.0)  # a tie but for rounding
    assert known.size[0] == torch.inf
    assert known.by[0] == -1


def test_images_leave_when_they_are_fooled_and_every_question_is_counted(net, lane):
    known, oracle = Board.of(lane.x0, lane.y), Oracle(net)
    attack = Steps("pgd", BALLS["linf"], LOSSES["ce"], 9, 0.1)
    work = Work(torch.arange(COUNT), lane.t, lane.keys)
    run(attack, oracle, known, BALLS["linf"], work, eps=EPS / 8, lanes=COUNT, by=0)
    fooled = known.size.isfinite()
    assert 0 < fooled.sum() < COUNT
    assert bool((known.forwards[~fooled] == 10).all())
    assert bool((known.forwards[fooled] < 10).any())
    assert torch.equal(known.forwards, known.backwards)
    assert oracle.forwards == oracle.backwards >= int(known.forwards.sum())
    points, _ = path(attack, net, replace(lane, eps=lane.eps / 8), 10)
    for row in fooled.nonzero()[:, 0].tolist():
        y = known.y[row : row + 1]
        first = next(k for k, x in enumerate(points) if margin(net(x[row : row + 1]), y, y)[0] > 0)
        assert known.forwards[row] == first + 1


def test_a_search_in_few_digits_is_judged_in_all(net, lane):
    class Wrong(nn.Module):
        """Another answer in bfloat16."""

        def forward(self, x: Tensor) -> Tensor:
            logits = net(x)
            return logits.flip(1) * 9 if torch.is_autocast_enabled("cpu") else logits.detach() + 0 * logits

    known = Board.of(lane.x0, lane.y)
    oracle = Oracle(Wrong(), search=torch.bfloat16)
    attack = Steps("pgd", BALLS["linf"], ce, 3, 0.1)
    run(attack, oracle, known, BALLS["linf"], Work(torch.arange(COUNT), lane.t, lane.keys), eps=1e-4, lanes=16, by=0)
    assert not known.size.isfinite().any()
    assert oracle.forwards > 4 * COUNT
