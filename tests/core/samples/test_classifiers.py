import numpy as np
import pytest
import torch

from vlmkit.core.samples import classifiers
from vlmkit.core.samples.classifiers import accuracy, as_pixels, logits_of, perturbed, train_classifier, view
from vlmkit.core.samples.digits import HELD_OUT, RADIUS, load


@pytest.fixture(scope="module")
def digits():
    images, labels = load()
    return images[:, None], labels


def train(digits, kind, **words):
    images, labels = digits
    return train_classifier(kind, images[:-HELD_OUT], labels[:-HELD_OUT], **words)


def robust(model, digits):
    """The share of the unseen digits that stay right under 20 short steps of PGD."""
    pixels, labels = as_pixels(digits[0][-HELD_OUT:]), torch.from_numpy(digits[1][-HELD_OUT:])
    found = pixels
    for _ in range(20):
        found.requires_grad_()
        logits = logits_of(model, found, view(8))
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), found)
        found = (found.detach() + 0.02 * gradient.sign()).clamp(pixels - RADIUS, pixels + RADIUS).clamp(0, 1)
    return float((logits_of(model, found, view(8)).argmax(1) == labels).float().mean())


def test_a_hardened_classifier_withstands_what_a_plain_one_does_not(digits):
    plain, hardened = train(digits, "cnn", epochs=8), train(digits, "cnn", epochs=12, hardened_eps=RADIUS)
    held = digits[0][-HELD_OUT:], digits[1][-HELD_OUT:]
    assert accuracy(plain, *held) > 0.9
    assert accuracy(hardened, *held) > 0.85
    assert robust(hardened, digits) > robust(plain, digits) + 0.2


@pytest.mark.parametrize("kind", ["vit", "cnn"])
def test_the_weights_are_the_same_for_the_same_seed_whatever_the_threads(digits, kind):
    few = digits[0][:500], digits[1][:500]
    threads = torch.get_num_threads()
    found = []
    for count, seed in ((1, 0), (2, 0), (2, 1)):
        torch.set_num_threads(count)
        model = train_classifier(kind, *few, epochs=1, seed=seed, hardened_eps=RADIUS)
        assert torch.get_num_threads() == count
        found.append(torch.cat([weight.flatten() for weight in model.parameters()]))
    torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[1], found[2])


def test_images_of_another_size_are_cut_into_as_many_patches():
    images = np.random.default_rng(0).random((20, 3, 28, 28))
    model = train_classifier("vit", images, np.arange(20) % 3, epochs=1)
    assert (model.config.image_size, model.config.patch_size, model.config.num_labels) == (28, 7, 3)
    assert classifiers.preprocessor(28)["size"] == {"height": 28, "width": 28}


def test_an_attack_stays_in_the_ball_and_leaves_the_mode(digits):
    model = classifiers.build("cnn", channels=1, size=8, num_classes=10).train()
    pixels, labels = as_pixels(digits[0][:9]), torch.from_numpy(digits[1][:9])
    generator = torch.Generator().manual_seed(0)
    found = perturbed(model, pixels, labels, eps=0.1, size=view(8), generator=generator)
    assert model.training
    assert (found - pixels).abs().max() <= 0.1 + 1e-6
    assert 0 <= found.min() <= found.max() <= 1
    assert all(weight.grad is None for weight in model.parameters())
