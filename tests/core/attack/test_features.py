"""Features of transformers models: maps from tokens and stages, shares of frequencies, drift, correlations."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from transformers import (
    CLIPConfig,
    CLIPModel,
    ConvNextConfig,
    ConvNextForImageClassification,
    DeiTConfig,
    DeiTForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from vlmkit.core.attack.features import band_shares, correlations, grid, hidden, layers, low_share, maps, mosaic
from vlmkit.core.errors import InputError
from vlmkit.core.models.classifier import Classifier
from vlmkit.core.models.zero_shot import ZeroShot

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
TOWER = {"image_size": 16, "patch_size": 4, **SMALL}


def classifier(kind: str) -> Classifier:
    torch.manual_seed(0)
    if kind == "clip":
        config = CLIPConfig(vision_config=TOWER, text_config={**SMALL, "vocab_size": 99}, projection_dim=8)
        found = ZeroShot(CLIPModel(config), torch.randn(3, 8), None)
    elif kind == "vit":
        found = ViTForImageClassification(ViTConfig(**TOWER, num_labels=3))
    elif kind == "deit":
        found = DeiTForImageClassification(DeiTConfig(**TOWER, num_labels=3))
    elif kind == "convnext":
        found = ConvNextForImageClassification(
            ConvNextConfig(num_stages=2, depths=[1, 1], hidden_sizes=[8, 16], patch_size=4, image_size=16)
        )
    elif kind == "resnet":
        found = ResNetForImageClassification(
            ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
        )
    else:
        found = SwinForImageClassification(
            SwinConfig(image_size=16, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4)
        )
    return Classifier(found, kind="transformers", where=kind, channels=3)


def pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("vit", [(4, 4)] * 3), ("deit", [(4, 4)] * 3), ("clip", [(4, 4)] * 3), ("convnext", [(4, 4), (4, 4), (2, 2)]),
        ("resnet", [(4, 4), (4, 4), (2, 2)]), ("swin", [(8, 8), (4, 4), (4, 4)]),
    ],
)  # fmt: skip
def test_every_kind_of_model_shows_maps(kind, sizes):
    model, x = classifier(kind), pictures(5)
    found = layers(model, x, x, lanes=2)
    assert [(one.rows, one.columns) for one in found] == sizes
    for one in found:
        assert one.low_share.shape == (5,)
        known = one.low_share[~one.low_share.isnan()]
        assert len(known) == (0 if (one.rows, one.columns) == (2, 2) else 5)
        assert bool(((known >= 0) & (known <= 1)).all())
        assert bool((one.drift == 0).all())
    moved = layers(model, x, x.flip(0), lanes=3)
    states, others = hidden(model, x), hidden(model, x.flip(0))
    for one, before, after in zip(moved, states, others, strict=True):
        expected = (after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1)
        torch.testing.assert_close(one.drift, expected, atol=1e-5, rtol=1e-4)
        assert float(one.drift[0]) > 0
        assert float(one.drift[2]) == 0  # the middle image is its own


def test_tokens_lie_in_the_maps_as_in_the_image():
    tokens = torch.arange(2 + 3 * 6.0)[None, :, None]
    assert maps(tokens, 30, 60)[0, 0].tolist() == [
        [float(2 + 6 * row + column) for column in range(6)] for row in range(3)
    ]
    assert [grid(one, 224, 224) for one in (196, 197, 198, 201)] == [(14, 14)] * 4
    model = classifier("vit")
    x = pictures(1).repeat(2, 1, 1, 1)
    x[1, :, 8:12, 4:8] = 0  # the patch in row 2, column 1
    first = maps(hidden(model, x)[0], 16, 16)
    changed = (first[0] != first[1]).any(0).nonzero().tolist()
    assert changed == [[2, 1]]


def test_the_low_share_is_that_of_scipys_transform():
    features = torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(2)) + 9
    share, white = low_share(features)
    energy = (dctn(features.double().numpy(), axes=(2, 3), norm="ortho") ** 2).sum(1)
    energy[:, 0, 0] = 0
    assert share.numpy() == pytest.approx(energy[:, :3, :3].sum((1, 2)) / energy.sum((1, 2)))
    assert white == 8 / 29
    noise = torch.randn(200, 8, 6, 5, generator=torch.Generator().manual_seed(2))
    assert float(low_share(noise)[0].mean()) == pytest.approx(white, abs=0.01)
    ramp = torch.linspace(0, 1, 8).expand(1, 1, 8, 8)
    assert float(low_share(ramp)[0]) > 0.99
    assert float(low_share((-1) ** torch.arange(8.0).expand(1, 1, 8, 8))[0]) < 0.2


def test_a_mosaic_shows_each_channel_at_its_place():
    features = torch.zeros(5, 4, 4)
    features[3, 1, 2] = 7.0
    page = mosaic(features, side=8)
    assert page.shape == (2 * 12 + 4, 3 * 12 + 4, 3)
    bright = np.argwhere((page == 255).all(2))
    assert bright.min(0).tolist() == [4 + 12 + 2, 4 + 4]  # in the fourth map, zoomed twice
    assert len(bright) == 4
    assert (page[:4] == page[0, 0]).all()


def test_correlations_need_three_models_that_differ():
    found = correlations([0.1, 0.5, 0.9, 0.95], [0.2, 0.3, 0.8, 0.7])
    assert found["n"] == 4
    assert found["pearson"] == pytest.approx(np.corrcoef([0.1, 0.5, 0.9, 0.95], [0.2, 0.3, 0.8, 0.7])[0, 1])
    assert found["spearman"] == pytest.approx(0.8)
    assert correlations([0.1, 0.5], [0.2, 0.3])["pearson"] is None
    assert correlations([0.1, 0.5, 0.9], [0.2, 0.2, 0.2])["spearman"] is None


def test_a_model_without_features_says_so():
    model = Classifier(lambda pixels: pixels.mean((2, 3)), kind="function", where="m.py:f")
    with pytest.raises(InputError, match="does not show its features"):
        hidden(model, pictures(1))


def test_bands_hold_all_energy_and_waves_fall_into_theirs():
    draw = torch.rand(4, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    shares = band_shares(draw)
    torch.testing.assert_close(shares.sum(1), torch.ones(4, dtype=torch.float64))
    plane = dctn(draw.double().numpy(), axes=(2, 3), norm="ortho") ** 2
    plane[:, :, 0, 0] = 0
    lowest = plane[:, :, :3, :4].sum((1, 2, 3)) / plane.sum((1, 2, 3))
    np.testing.assert_allclose(shares[:, 0].numpy(), lowest, rtol=1e-5)
    for at, frequency in enumerate((1, 5, 8)):
        wave = torch.cos(torch.pi * (torch.arange(9.0) + 0.5) * frequency / 9).expand(1, 1, 9, 9)
        assert float(band_shares(wave)[0, at]) > 0.999


def test_figures_that_are_not_known_have_no_correlation():
    assert correlations([0.1, None, 0.3], [0.5, 0.4, 0.2])["pearson"] is None
