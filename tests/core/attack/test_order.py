"""Targets by the distance to their boundaries: exact on linear models."""

import pytest
import torch
from torch import nn

from vlmkit.core.attack.apgd import Apgd
from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.curve import Subject
from vlmkit.core.attack.losses import dlr_to
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.order import MOST, distances
from vlmkit.core.attack.suites import Round

DUAL = {"linf": 1, "l2": 2, "l1": torch.inf}


@pytest.mark.parametrize("norm", DUAL)
def test_distances_of_a_linear_model_are_exact_and_decide_the_order(norm):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 12))
    with torch.no_grad():
        model[1].weight *= torch.linspace(0.2, 3, 12)[:, None]
    x = torch.rand(20, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    oracle = Oracle(model)
    y = oracle.logits(x).argmax(1)
    subject = Subject.of(oracle, x, y, [str(one) for one in range(20)], BALLS[norm], lanes=8, malt=True)
    w, logits = model[1].weight.detach(), oracle.logits(x)
    rows = torch.arange(20)
    truth = torch.stack(
        [(logits[rows, y] - logits[:, c]) / (w[y] - w[c]).norm(p=DUAL[norm], dim=1) for c in range(12)], dim=1
    )
    found = distances(oracle, x, y, subject.order, BALLS[norm])
    torch.testing.assert_close(found, truth.gather(1, subject.order), rtol=1e-4, atol=1e-6)
    looked_at = truth.gather(1, subject.near[:, :MOST])
    assert bool((looked_at.diff(dim=1) >= -1e-6).all())
    assert not torch.equal(subject.near, subject.order)
    assert torch.equal(subject.near.sort(1).values, subject.order.sort(1).values)
    one = Round(Apgd("t", BALLS[norm], dlr_to), rank=2, malt=True)
    assert torch.equal(subject.aims(one, rows), subject.near[:, 2])
