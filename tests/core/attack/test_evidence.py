"""Signs that gradients mislead: when a share of images counts as one."""

import pytest
import torch
from torch import nn

from vlmkit.core.attack.evidence import Sign, blind, differentiable
from vlmkit.core.attack.oracle import Oracle


@pytest.mark.parametrize(
    ("indicator", "count", "of", "fired"),
    [
        ("zero_gradient", 1, 1, True), ("probabilities", 3, 3, True), ("random_output", 1, 60, True),
        ("zero_gradient", 1, 60, False), ("unbounded", 2, 30, False), ("unbounded", 9, 30, True),
        ("square_gain", 1, 10, False), ("more_steps", 1, 1, False), ("more_steps", 2, 2, True),
        ("square_gain", 5, 60, True), ("zero_gradient", 0, 0, False), ("unverified", 0, 0, False),
    ],
)  # fmt: skip
def test_a_model_is_judged_by_all_of_few_images_but_not_by_a_gain_on_one(indicator, count, of, fired):
    assert Sign(indicator, count, of).fired == fired


class Raises(torch.autograd.Function):
    """An operation whose derivative raises what it is told."""

    @staticmethod
    def forward(ctx, x, error):
        ctx.error = error
        return x.flatten(1) * 1

    @staticmethod
    def backward(ctx, _gradient):
        raise ctx.error


class Net(nn.Module):
    """A model of three logits."""

    def __init__(self, compute):
        super().__init__()
        self.compute = compute

    def forward(self, x):
        return self.compute(x)[:, :3]


@pytest.mark.parametrize(
    ("compute", "has", "zero"),
    [
        (lambda x: x.flatten(1), True, False), (lambda x: 0 * x.flatten(1) + torch.arange(4.0), True, True),
        (lambda x: x.flatten(1).detach(), False, True),
        (lambda x: Raises.apply(x, NotImplementedError("derivative for aten::foo is not implemented")), False, None),
    ],
)  # fmt: skip
def test_what_gradients_a_model_has_is_found_out(compute, has, zero):
    oracle = Oracle(Net(compute))
    x, y = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(4, dtype=torch.int64)
    assert differentiable(oracle, x, y) == has
    assert oracle.forwards == 4
    if zero is not None:
        assert blind(oracle, x, y) == zero


def test_a_full_memory_is_not_taken_for_a_model_without_derivatives():
    oracle = Oracle(Net(lambda x: Raises.apply(x, torch.OutOfMemoryError("out of memory"))))
    with pytest.raises(torch.OutOfMemoryError):
        differentiable(oracle, torch.rand(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64))
