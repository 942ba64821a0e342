"""Groups: every parameter matches exactly one pattern; decay acts on all; AdamW is AdamW."""

import pytest
import torch
from torch import nn

from vlmkit.core.errors import InputError
from vlmkit.core.train.optim import adamw, assign


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))


def test_every_parameter_matches_exactly_one_pattern():
    assert assign(model(), [(r"0\..*", 1e-3), (r"1\..*", "frozen")]) == {
        "0.weight": 1e-3, "0.bias": 1e-3, "1.weight": "frozen", "1.bias": "frozen",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([(r"0\..*", 1e-3)], "1.weight matches no pattern"),
        ([(r".*", 1e-3), (r"1\..*", "frozen")], "matches '.*' and '1"),
        ([(r".*", 1e-3), (r"2\..*", "frozen")], "'2\\..*' matches no parameter"),
        ([(r".*", "frozen")], "every parameter is frozen"),
    ],
)
def test_rules_that_leave_doubt_are_refused(rules, words):
    with pytest.raises(InputError) as caught:
        adamw(model(), rules)
    assert words in caught.value.what


def test_frozen_parameters_get_no_gradient_and_groups_keep_their_peak():
    net = model()
    optimizer = adamw(net, [(r"0\..*", 1e-3), (r"1\.weight", 1e-4), (r"1\.bias", "frozen")])
    assert [p.requires_grad for p in net.parameters()] == [True, True, True, False]
    assert sorted(group["peak"] for group in optimizer.param_groups) == [1e-4, 1e-3]


def test_decay_acts_on_gains_too_unless_spared():
    assert {group["weight_decay"] for group in adamw(model(), [(".*", 1e-3)]).param_groups} == {0.033}
    spared = adamw(model(), [(".*", 1e-3)], no_decay=r"1\..*").param_groups
    assert sorted((len(group["params"]), group["weight_decay"]) for group in spared) == [(2, 0.0), (2, 0.033)]


def test_one_step_is_the_formula_of_adamw():
    net = nn.Linear(2, 1, bias=False).double()
    w, x = net.weight.detach().clone(), torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    optimizer = adamw(net, [(".*", 0.1)], betas=(0.9, 0.95), eps=1e-8, weight_decay=0.5)
    net(x).sum().backward()
    optimizer.step()
    torch.testing.assert_close(net.weight.detach(), w * (1 - 0.1 * 0.5) - 0.1 * x / (x.abs() + 1e-8))
