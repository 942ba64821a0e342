"""Patch-Fool: it changes its patches alone, where the model sees them, and finds what a patch can do."""

import pytest
import torch
from torch import Tensor, nn
from transformers import ConvNextConfig, ConvNextForImageClassification, ViTConfig, ViTForImageClassification

from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.patch_fool import attention, most_attended, owners, patch_fool, without_conflict
from vlmkit.core.attack.randomness import keys_of
from vlmkit.core.errors import InputError
from vlmkit.core.models.classifier import Classifier
from vlmkit.core.models.preprocess import Preprocessing

SIZE = 24


@pytest.fixture
def model() -> Classifier:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 32}
    config = ViTConfig(image_size=SIZE, patch_size=6, num_channels=1, num_labels=4, initializer_range=0.3, **sizes)
    prepare = Preprocessing(target=lambda height, width: (SIZE, SIZE), gain=(2.0,), shift=(-1.0,))
    return Classifier(ViTForImageClassification(config), kind="transformers", where="vit", channels=1, prepare=prepare)


def subjects(model: Classifier, count: int, size: int = SIZE) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))
    keys = keys_of([str(one) for one in range(count)], seed=0, what="patch-fool")
    return x, Oracle(model).logits(x).argmax(1), keys


@pytest.mark.parametrize("count", [1, 3])
def test_it_changes_the_patches_that_it_names_and_nothing_else(model, count):
    x, y, keys = subjects(model, 20)
    found = patch_fool(model, x, y, keys, num_patches=count, num_steps=20)
    changed = (found.points - x).abs().amax(1).unflatten(1, (4, 6)).unflatten(3, (4, 6)).amax((2, 4)).flatten(1) > 0
    for one in range(20):
        assert changed[one].nonzero()[:, 0].tolist() == sorted(found.patches[one].tolist())
    assert float(found.points.min()) >= 0
    assert float(found.points.max()) <= 1
    assert torch.equal(found.fooled, Oracle(model).logits(found.points).argmax(1) != y)
    assert found.fooled.sum() > 0
    assert bool((found.steps[~found.fooled] == 20).all())


def test_more_patches_fool_sooner_and_batches_do_not_matter(model):
    x, y, keys = subjects(model, 30)
    runs = {k: patch_fool(model, x, y, keys, num_patches=k, num_steps=15) for k in (1, 6)}
    assert int(runs[1].steps.sum()) > int(runs[6].steps.sum())
    drawn = patch_fool(model, x, y, keys, num_steps=0)
    assert int(drawn.fooled.sum()) < int(runs[1].fooled.sum())
    again = patch_fool(model, x, y, keys, num_patches=1, num_steps=15, lanes=7)
    assert torch.equal(runs[1].points, again.points)
    assert torch.equal(runs[1].steps, again.steps)


def test_the_patch_is_the_one_that_draws_most_attention(model):
    x, _, _ = subjects(model, 5)
    with torch.no_grad():
        _, weights = attention(model, x)
        eager = model.compute
        eager.set_attn_implementation("eager")
        expected = eager(model.view(x), output_attentions=True).attentions
    for one, other in zip(weights, expected, strict=True):
        torch.testing.assert_close(one, other.mean(1), atol=1e-5, rtol=1e-4)
    patches, rows, columns = most_attended(model, x, 2)
    assert (rows, columns) == (4, 4)
    assert torch.equal(patches, expected[3].mean(1).mean(1)[:, 1:].topk(2, dim=1).indices)


def test_pixels_belong_to_the_patch_that_sees_them(model):
    exact = owners(model, (1, SIZE, SIZE), 4, 4)
    cells = torch.arange(SIZE) // 6
    assert torch.equal(exact, cells[:, None] * 4 + cells)
    small = owners(model, (1, 8, 8), 4, 4)
    assert torch.equal(small, (torch.arange(8) // 2)[:, None] * 4 + torch.arange(8) // 2)
    model.prepare = Preprocessing(target=lambda height, width: (32, 32), crop=(SIZE, SIZE))
    cut = owners(model, (1, 32, 32), 4, 4)
    assert torch.equal(cut[4:-4, 4:-4], exact)
    assert bool((cut[:4] == -1).all())


def test_only_what_points_against_the_gradient_goes():
    gradient = torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]]).reshape(3, 1, 1, 2)
    pull = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [1.0, 1.0]]).reshape(3, 1, 1, 2)
    kept = without_conflict(pull, gradient)
    assert torch.equal(kept[0], pull[0])
    assert torch.equal(kept[2], pull[2])
    assert float((kept[1] * gradient[1]).sum()) == pytest.approx(0, abs=1e-6)
    assert float((kept[1] * torch.tensor([4.0, -3.0])).sum()) == pytest.approx(2.0)  # what is across stays


def test_models_without_such_attention_are_refused(model):
    x, y, keys = subjects(model, 2)
    config = ConvNextConfig(num_stages=2, depths=[1, 1], hidden_sizes=[8, 16], num_channels=1)
    convnet = Classifier(ConvNextForImageClassification(config), kind="transformers", where="convnext", channels=1)
    with pytest.raises(InputError):
        patch_fool(convnet, x, y, keys)
    plain = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, 2)), kind="function", where="m.py:f")
    with pytest.raises(InputError, match="does not show its attention"):
        patch_fool(plain, x, y, keys)
    with pytest.raises(InputError, match="16 of 16 patches"):
        patch_fool(model, x, y, keys, num_patches=16)
