"""`vlmkit attack transfer`, `spectrum`, `certify`, `features`, `patch-fool`: what they tell follows from files."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from scipy.fft import dctn, idctn
from transformers import ConvNextConfig, ConvNextForImageClassification, ViTConfig, ViTForImageClassification

from vlmkit.core.configs.attack_certify import AttackCertifyConfig
from vlmkit.core.configs.attack_features import AttackFeaturesConfig
from vlmkit.core.configs.attack_patch_fool import AttackPatchFoolConfig
from vlmkit.core.configs.attack_spectrum import AttackSpectrumConfig
from vlmkit.core.configs.attack_transfer import AttackTransferConfig
from vlmkit.core.errors import InputError
from vlmkit.core.models.classifier import load_classifier
from vlmkit.core.recipes import attack_certify, attack_features, attack_patch_fool, attack_spectrum, attack_transfer

CODE = """
import torch
from torch import nn


def first():
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(1, 6, 3), nn.GELU(), nn.Flatten(), nn.Linear(6 * 100, 4))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x)

    return Net()


def grey(noisy): return noisy * 0 + 0.5
def wrong(noisy): return noisy[:, :, 1:]
"""
COUNT, SIDE = 30, 12
SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with code, transformers models, and images with the labels that the models give most of them."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "nets.py").write_text(CODE)
    torch.manual_seed(0)
    labels = {str(one): one for one in range(4)}
    common = {"num_channels": 1, "id2label": {one: name for name, one in labels.items()}, "label2id": labels}
    vit = ViTForImageClassification(ViTConfig(image_size=SIDE, patch_size=3, initializer_range=0.4, **SIZES, **common))
    stages = {"num_stages": 2, "depths": [1, 1], "hidden_sizes": [8, 16], "patch_size": 2}
    convnet = ConvNextForImageClassification(ConvNextConfig(**stages, **common, initializer_range=0.5))
    for name, model in (("vit", vit), ("convnet", convnet)):
        model.save_pretrained(folder / name)
        settings = {"image_processor_type": "ViTImageProcessor", "do_resize": False, "do_normalize": True}
        settings |= {"do_rescale": True, "rescale_factor": 1 / 255, "image_mean": [0.5], "image_std": [0.5]}
        (folder / name / "preprocessor_config.json").write_text(json.dumps(settings))
    x = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE), dtype=np.uint8)
    for name in ("nets.py:first", "vit", "convnet"):
        given = load_classifier(folder / name)(torch.tensor(x[:, None] / np.float32(255))).argmax(1).numpy()
        given[:2] = (given[:2] + 1) % 4
        np.savez(folder / f"{name.partition(':')[0].partition('.')[0]}.npz", images=x, labels=given)
    return folder


def pixels(place, name="nets") -> tuple[torch.Tensor, torch.Tensor]:
    data = np.load(place / f"{name}.npz")
    return torch.tensor(data["images"][:, None] / np.float32(255)), torch.tensor(data["labels"])


def rows(folder) -> list[dict]:
    return pq.read_table(folder / "part-00000.parquet").to_pylist()


def digest(folder) -> str:
    return json.loads((folder / "manifest.json").read_text())["content_digest"]


def common(place, name, **words) -> dict:
    return {"images": place / "nets.npz", "out": place / name, "device": "cpu", "batch_size": 8} | words


def test_spectrum_follows_from_the_changes_that_it_writes(place):
    words = {"model": f"{place / 'nets.py'}:first", "eps": ("0.02", "0.05"), "cutoff": 3}
    values = attack_spectrum.run(AttackSpectrumConfig(**common(place, "spectrum", **words))).values
    x, y = pixels(place)
    model = load_classifier(f"{place / 'nets.py'}:first")
    changes = load_file(place / "spectrum" / "deltas.safetensors")
    assert set(changes) == {"0.02", "0.05"}
    told = {(one["eps"], one["change"]): one["accuracy"] for one in values["bands"]}
    for eps, d in ((0.02, changes["0.02"]), (0.05, changes["0.05"])):
        assert float(d.abs().max()) <= eps + 6e-8
        whole = dctn(d.double().numpy(), axes=(2, 3), norm="ortho")
        for band in ("low", "mixed", "high"):
            kept = np.zeros_like(whole)
            if band == "low":
                kept[..., :3, :3] = whole[..., :3, :3]
            elif band == "high":
                kept[..., 3:, 3:] = whole[..., 3:, 3:]
            else:
                kept[..., :3, 3:], kept[..., 3:, :3] = whole[..., :3, 3:], whole[..., 3:, :3]
            moved = (x + torch.tensor(idctn(kept, axes=(2, 3), norm="ortho")).float()).clamp(0, 1)
            assert told[eps, band] == pytest.approx(float((model(moved).argmax(1) == y).float().mean()))
            share = next(one["share"] for one in values["energy"] if (one["eps"], one["band"]) == (eps, band))
            assert share == pytest.approx(
                float(((kept**2).sum((1, 2, 3)) / (whole**2).sum((1, 2, 3))).mean()), abs=1e-6
            )
        assert told[eps, "all"] == pytest.approx(float((model(x + d).argmax(1) == y).float().mean()))
    assert told[0.05, "all"] < values["clean_accuracy"] == pytest.approx(28 / 30)
    assert told[0.05, "pgd-low"] <= 28 / 30
    assert len(rows(place / "spectrum")) == 2 * COUNT
    assert str(place) not in (place / "spectrum" / "report.html").read_text()
    again = {**common(place, "spectrum-again", **words), "batch_size": 1}  # the last piece is of two images
    attack_spectrum.run(AttackSpectrumConfig(**again))
    assert digest(place / "spectrum") == digest(place / "spectrum-again")


def test_transfer_tells_accuracies_with_white_box_ones_on_the_diagonal(place):
    models = (str(place / "vit"), f"{place / 'nets.py'}:first")
    x, _ = pixels(place)
    given = [load_classifier(word)(x).argmax(1) for word in models]
    same = (given[0] == given[1]).numpy()
    assert 2 <= same.sum() < COUNT
    np.savez(place / "both.npz", images=(x[same][:, 0] * 255).round().byte().numpy(), labels=given[0][same].numpy())
    words = {"models": models, "attack": "fgsm", "eps": ("0.05", "0.1"), "images": place / "both.npz"}
    values = attack_transfer.run(AttackTransferConfig(**common(place, "transfer", **words))).values
    assert values["models"] == ["vit", "nets.py:first"]
    assert values["matrix"] == values["matrices"][-1]["accuracy"]
    right = load_file(place / "transfer" / "right.safetensors")
    assert right["0.1"].shape == (2, 2, same.sum())
    assert right["0.1"].double().mean(2).tolist() == values["matrix"]
    for place_, word in enumerate(models):
        model, y = load_classifier(word), given[0][same]
        pixels_ = x[same].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(model(pixels_), y), pixels_)
        fooled = model((x[same] + 0.1 * gradient.sign()).clamp(0, 1)).argmax(1) != y
        assert values["matrix"][place_][place_] == pytest.approx(1 - float(fooled.float().mean()), abs=1.1 / len(y))
        assert values["matrices"][-1]["carried"][place_][place_] in (1.0, None)
    assert [row["accuracy"] for row in rows(place / "transfer")[4:]] == [
        one for some in values["matrix"] for one in some
    ]


def test_certificates_go_on_after_a_kill_and_come_to_the_same_bytes(place, monkeypatch):
    words = {"model": f"{place / 'nets.py'}:first", "sigma": (0.1, 0.3), "n0": 20, "samples": 60, "n": 12}
    values = attack_certify.run(AttackCertifyConfig(**common(place, "whole", **words))).values
    asked, real = [], attack_certify.certify

    def stops(*args, **kwargs):
        asked.append(kwargs["sigma"])
        if len(asked) == 17:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(attack_certify, "certify", stops)
    broken = {**common(place, "broken", **words), "batch_size": 7}
    with pytest.raises(KeyboardInterrupt):
        attack_certify.run(AttackCertifyConfig(**broken))
    with (place / "broken" / ".vlmkit" / "certified.jsonl").open("a") as file:
        file.write('{"id": "half a l')
    assert attack_certify.run(AttackCertifyConfig(**broken)).values == values
    assert len(asked) == 24 + 1
    assert digest(place / "whole") == digest(place / "broken")
    table = rows(place / "whole")
    for one in values["certified"]:
        mine = [row for row in table if row["sigma"] == one["sigma"]]
        held = [row["prediction"] == row["label"] and row["radius"] >= one["radius"] for row in mine]
        assert one["accuracy"] == pytest.approx(sum(held) / 12)
    assert {row["prediction"] is None for row in table} == {True, False}
    assert all(row["radius"] == 0 for row in table if row["prediction"] is None)


def test_a_denoiser_stands_before_the_model(place):
    words = {"model": f"{place / 'nets.py'}:first", "n0": 10, "samples": 30, "n": 6}
    blind = {**words, "denoiser": f"{place / 'nets.py'}:grey"}
    values = attack_certify.run(AttackCertifyConfig(**common(place, "blind", **blind))).values
    table = rows(place / "blind")
    assert {row["votes"] for row in table} == {30}  # whatever the noise, it sees grey
    assert len({row["prediction"] for row in table}) == 1
    assert values["denoiser"] is True
    for name, what in (("wrong", "the denoiser gives"), ("lacking", "has no 'lacking'")):
        with pytest.raises(InputError, match=what):
            attack_certify.run(
                AttackCertifyConfig(**common(place, "no", **{**words, "denoiser": f"{place / 'nets.py'}:{name}"}))
            )
        assert not (place / "no").exists()


def test_features_tell_of_each_layer_and_image(place):
    words = {"models": (str(place / "vit"),), "images": place / "vit.npz", "eps": ("0.1",), "shown": 2}
    values = attack_features.run(AttackFeaturesConfig(**common(place, "features", **words))).values
    (model,) = values["models"]
    assert model["clean_accuracy"] == pytest.approx(28 / 30)
    assert model["robust_accuracy"] < model["clean_accuracy"]
    assert values["correlation"]["pearson"] is None
    table = rows(place / "features")
    assert len(table) == 4 * COUNT
    for one in model["layers"]:
        mine = [row for row in table if row["layer"] == one["layer"]]
        assert one["drift"] == pytest.approx(np.mean([row["drift"] for row in mine]))
        assert (one["rows"], one["columns"]) == (4, 4)
    assert sum(row["robust"] for row in table) == pytest.approx(4 * COUNT * model["robust_accuracy"])
    assert len(list((place / "features").glob("maps-0-*.png"))) == 6
    for changed, what in (
        ({"layer": 9}, "shows 4 layers"), ({"models": (f"{place / 'nets.py'}:first",), "images": place / "nets.npz"},
         "does not show its features"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=what):
            attack_features.run(AttackFeaturesConfig(**common(place, "no", **{**words, **changed})))
        assert not (place / "no").exists()


def test_patches_that_are_named_are_all_that_changed(place):
    words = {"model": str(place / "vit"), "images": place / "vit.npz", "patches": (1, 3), "steps": 15}
    values = attack_patch_fool.run(AttackPatchFoolConfig(**common(place, "patches", **words))).values
    x, y = pixels(place, "vit")
    model, table = load_classifier(place / "vit"), rows(place / "patches")
    changes = load_file(place / "patches" / "deltas.safetensors")
    assert [row["status"] for row in table].count("clean_wrong") == 4
    for number, row in enumerate(table):
        at, d = number % COUNT, changes[str(row["count"])][row["row"]]
        blocks = d.abs().amax(0).unflatten(0, (4, 3)).unflatten(2, (4, 3)).amax((1, 3)).flatten()
        assert set(blocks.nonzero()[:, 0].tolist()) <= set(row["patches"])
        given = int(model((x[at] + d).clamp(0, 1)[None]).argmax())
        assert given == row["prediction"]
        assert (row["status"] == "fooled") == (given != int(y[at]) and row["status"] != "clean_wrong")
    for one in values["patched"]:
        mine = [row["status"] for row in table if row["count"] == one["patches"]]
        assert one["fooled"] == pytest.approx(mine.count("fooled") / 28)
        assert one["accuracy"] == pytest.approx(mine.count("robust") / 30)
    for changed in ({"model": str(place / "convnet"), "images": place / "convnet.npz"}, {"patches": (16,)}):
        with pytest.raises(InputError):
            attack_patch_fool.run(AttackPatchFoolConfig(**common(place, "no", **{**words, **changed})))
        assert not (place / "no").exists()


@pytest.mark.parametrize(
    ("config", "words", "what"),
    [
        (AttackSpectrumConfig, {"cutoff": 0}, "--cutoff is 0"),
        (AttackSpectrumConfig, {"eps": ("8",)}, "lets every pixel take any value"),
        (AttackTransferConfig, {"models": ("a",)}, "1 model is named"),
        (AttackTransferConfig, {"models": ("a", "a")}, "named twice"),
        (AttackTransferConfig, {"models": ("a", "b"), "pixels": "model"}, "share no pixels"),
        (AttackFeaturesConfig, {"models": ("a",), "eps": ("0.1", "0.2")}, "2 radii"),
        (AttackFeaturesConfig, {"models": ("a",), "layer": -1}, "--layer is -1"),
        (AttackCertifyConfig, {"sigma": (0.0,)}, "--sigma is 0"),
        (AttackCertifyConfig, {"alpha": 0.7}, "--alpha is 0.7"),
        (AttackCertifyConfig, {"samples": 9}, "9 samples cannot certify"),
        (AttackCertifyConfig, {"n0": 0}, "--n0 is 0"),
        (AttackPatchFoolConfig, {"patches": (0,)}, "positive numbers"),
    ],
)
def test_settings_that_make_no_sense_are_refused(place, config, words, what):
    model = {} if "models" in words else {"model": "a"}
    with pytest.raises(InputError, match=what):
        config(images=place / "nets.npz", out=place / "no", **model, **words)


def test_a_cut_beyond_the_image_is_refused(place):
    words = {"model": f"{place / 'nets.py'}:first", "cutoff": SIDE}
    with pytest.raises(InputError, match="leaves no high band"):
        attack_spectrum.run(AttackSpectrumConfig(**common(place, "no", **words)))
    assert not (place / "no").exists()
