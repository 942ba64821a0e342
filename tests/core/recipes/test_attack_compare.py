"""`vlmkit attack compare`: classifiers on the same images, and what is said where they are not."""

import numpy as np
import pytest

from vlmkit.core.attack.page import radius
from vlmkit.core.configs.attack import AttackConfig
from vlmkit.core.configs.attack_compare import CompareConfig
from vlmkit.core.errors import InputError
from vlmkit.core.recipes.attack import run
from vlmkit.core.recipes.attack_compare import run as compare

CODE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        z = x.mean((1, 2, 3)) - 0.5
        return torch.stack([-self.scale * z, z], 1)


def half(): return Net(1.0)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs on some images, on others of the same ids and labels, and on some of another label."""
    place = tmp_path_factory.mktemp("compare")
    (place / "net.py").write_text(CODE)
    draw = np.random.default_rng(0)
    labels = np.array([0, 1] * 6)
    for name, shift in (("near", 0.05), ("far", 0.2), ("turned", 0.2)):
        y = labels if name != "turned" else 1 - labels
        images = 0.5 + shift * (2 * y[:, None, None, None] - 1) + 0.02 * draw.uniform(-1, 1, (12, 1, 4, 4))
        np.savez(place / f"{name}.npz", images=images, labels=y)
        words = {"suite": "fast", "eps": ("0.1",), "device": "cpu"}
        run(AttackConfig(model=f"{place / 'net.py'}:half", images=place / f"{name}.npz", out=place / name, **words))
    return place


def test_runs_are_compared_image_by_image(runs, caplog):
    (same,) = compare(CompareConfig(runs=(runs / "near", runs / "near"))).values["comparisons"]
    assert (same["difference"], same["p"], same["n"]) == (0.0, 1.0, 12)
    assert not caplog.records
    (other,) = compare(CompareConfig(runs=(runs / "near", runs / "far"))).values["comparisons"]
    assert (other["robust_accuracy_a"], other["robust_accuracy_b"], other["only_b"]) == (0.0, 1.0, 12)
    assert "different files" in caplog.text


def test_an_image_of_two_labels_is_refused(runs):
    with pytest.raises(InputError, match="of class 0 in one and 1 in the other"):
        compare(CompareConfig(runs=(runs / "near", runs / "turned")))


def test_a_radius_is_written_as_it_was_given():
    assert [radius(8 / 255), radius(0.6), radius(0.2)] == ["8/255", "0.600", "0.200"]
