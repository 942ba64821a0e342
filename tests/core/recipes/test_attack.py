"""`vlmkit attack run`: what it claims holds, whatever the model; bad input is refused before anything is written."""

import json
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vlmkit.core.attack import named
from vlmkit.core.configs import attack
from vlmkit.core.configs.attack import AttackConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.images import encode
from vlmkit.core.io.tables import write_table
from vlmkit.core.recipes.attack import run
from vlmkit.core.recipes.attack_files import reread
from vlmkit.core.recipes.attack_parts import open_exam

CODE = '''
"""Models that tests bring."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, manner="plain"):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.GELU(), nn.Flatten(), nn.Linear(6 * 36, 24), nn.GELU(), nn.Linear(24, 5)
        )
        with torch.no_grad():
            self.inner[-1].weight.mul_(20)
        self.manner = manner

    def forward(self, x):
        manner = self.manner
        if manner == "quantised":
            x = (x * 8).round() / 8
        if manner == "straight":
            x = x + ((x * 8).round() / 8 - x).detach()
        z = self.inner(x)
        if manner == "softmax":
            return z.softmax(1)
        if manner == "large":
            return 1e4 * z
        if manner == "noisy":
            return z + 0.05 * z.std() * torch.randn_like(z)
        if manner == "killed":
            return z.detach() + 0 * x.sum(dim=(1, 2, 3))[:, None]
        return z.detach() if manner == "closed" else z


def plain(): return Net()
def quantised(): return Net("quantised")
def straight(): return Net("straight")
def softmax(): return Net("softmax")
def large(): return Net("large")
def noisy(): return Net("noisy")
def killed(): return Net("killed")
def closed(): return Net("closed")
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with code and images, as many with the model's own label as not to be at chance."""
    folder = tmp_path_factory.mktemp("attack")
    (folder / "nets.py").write_text(CODE)
    names: dict = {}
    exec(CODE, names)
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    logits = names["plain"]()(torch.tensor(images[:, None] / np.float32(255), dtype=torch.float32))
    labels = logits.argmax(1).numpy()
    labels[:3] = (labels[:3] + 1) % 5
    np.savez(folder / "images.npz", images=images, labels=labels)
    return folder


def config(place, name, **words):
    """A config for a model of the code."""
    words = {"suite": "fast", "eps": ("0.02,0.05,0.1",), "device": "cpu", "batch_size": 16} | words
    return AttackConfig(model=f"{place / 'nets.py'}:{name}", images=place / "images.npz", **words)


def model_of(place, name="plain") -> nn.Module:
    """A model of the code."""
    names: dict = {}
    exec((place / "nets.py").read_text(), names)
    return names[name]().eval()


@pytest.fixture(scope="module")
def done(place):
    """A finished run."""
    return run(config(place, "plain", out=place / "plain", norm=("linf", "l2"), eps=("0.02,0.05,0.1", "l2:0.5")))


def test_every_claim_holds_when_it_is_read_from_the_files(place, done):
    model, data = model_of(place), np.load(place / "images.npz")
    table = pq.read_table(place / "plain" / "images.parquet").to_pylist()
    changes = load_file(place / "plain" / "deltas.safetensors")
    assert set(changes) == {"linf", "l2"}
    assert len(table) == 80
    x0 = torch.tensor(data["images"][:, None] / np.float32(255), dtype=torch.float32)
    sizes = {"linf": lambda d: float(d.abs().max()), "l2": lambda d: float(d.norm())}
    seen = set()
    for number, row in enumerate(table):
        at = number % 40
        d = changes[row["tensor"]][row["row"]]
        x = x0[at] + d
        given = int(model(x[None]).argmax())
        seen.add(row["status"])
        assert row["label"] == data["labels"][at]
        if row["status"] == "fooled":
            assert given == row["prediction"] != row["label"]
            assert float(x.min()) >= 0
            assert float(x.max()) <= 1
            assert sizes[row["norm"]](d) == pytest.approx(row["radius_high"], rel=1e-6)
            assert row["radius_low"] < row["radius_high"] <= {"linf": 0.1, "l2": 0.5}[row["norm"]] + 6e-8
            assert (
                row["attack"] in done.values["by_attack"]
                or f"{row['norm']}/{row['attack']}" in done.values["by_attack"]
            )
        else:
            assert not d.any()
            assert (given == row["label"]) == (row["status"] == "robust")
    assert seen == {"fooled", "robust", "clean_wrong"}
    assert done.values["verified"]["claimed"] == done.values["verified"]["held"] > 0


@pytest.mark.parametrize("fault", ["shorter", "outside", "longer than stated", "another class"])
def test_what_does_not_hold_when_it_is_read_back_is_counted(place, tmp_path, fault):
    made = config(place, "plain", out=tmp_path / "out", eps=("0.1",))
    claimed = run(made).values["verified"]["claimed"]
    exam, folder = open_exam(made, made.model, made.images), tmp_path / "out"
    assert reread(SimpleNamespace(folder=folder), exam, 16) == claimed
    table, changes = pq.read_table(folder / "images.parquet"), load_file(folder / "deltas.safetensors")["linf"]
    rows = table.to_pylist()
    fooled = [row for row in rows if row["status"] == "fooled"]
    for row in fooled[:2]:
        if fault == "another class":
            row["prediction"] = row["label"]
        elif fault == "longer than stated":
            row["radius_high"] /= 2
        else:
            changes[row["row"]] *= 0.5 if fault == "shorter" else 50
    save_file({"linf": changes}, folder / "deltas.safetensors")
    write_table(folder / "images.parquet", rows, kind="adversarial")
    assert reread(SimpleNamespace(folder=folder), exam, 16) == claimed - 2


def test_the_curve_counts_the_rows_and_never_rises(place, done):
    table = pq.read_table(place / "plain" / "images.parquet").to_pylist()
    curve = done.values["curve"]
    assert [(one["norm"], one["eps"]) for one in curve] == [("linf", 0.02), ("linf", 0.05), ("linf", 0.1)] + [
        ("l2", eps) for eps in (0.02, 0.05, 0.1, 0.5)
    ]
    for one in curve:
        mine = [row for row in table if row["norm"] == one["norm"] and row["status"] != "clean_wrong"]
        robust = sum(row["radius_high"] is None or row["radius_high"] > one["eps"] + 6e-8 for row in mine)
        assert one["robust_accuracy"] == robust / 40
        assert one["low"] <= one["robust_accuracy"] <= one["high"]
        assert one["n"] == 40
    values = [one["robust_accuracy"] for one in curve if one["norm"] == "linf"]
    assert values == sorted(values, reverse=True)
    assert done.values["clean_accuracy"] == 37 / 40
    assert done.values["by_attack"]["linf/apgd-margin"]["robust_accuracy"] >= values[-1]
    for at, one in enumerate(curve):
        assert sum(
            some["n"] * some["robust"][at]["robust_accuracy"] for some in done.values["per_class"]
        ) == pytest.approx(40 * one["robust_accuracy"])


def test_passes_are_those_that_reach_the_model(place, monkeypatch, tmp_path):
    from vlmkit.core.models.classifier import Classifier

    rows = []
    plain = Classifier.forward
    monkeypatch.setattr(Classifier, "forward", lambda self, x: (rows.append(len(x)), plain(self, x))[1])
    found = run(config(place, "plain", out=tmp_path / "counted"))
    assert found.values["forwards_per_image"] == pytest.approx(sum(rows) / 40)


@pytest.mark.parametrize(
    ("name", "signs"),
    [
        ("plain", set()), ("quantised", {"zero_gradient", "flat", "unbounded"}), ("straight", {"flat"}),
        ("softmax", {"probabilities"}), ("large", {"vanishing_gradient"}), ("noisy", {"random_output"}),
        ("killed", {"zero_gradient", "unbounded"}), ("closed", {"non_differentiable"}),
    ],
)  # fmt: skip
def test_models_that_mask_their_gradients_are_not_called_robust(place, tmp_path, name, signs):
    suite = "standard" if name in ("plain", "killed", "closed") else "fast"
    found = run(config(place, name, out=tmp_path / name, eps=("0.05",), suite=suite))
    fired = {one["indicator"] for one in found.values["evidence"] if one["fired"]}
    assert signs <= fired
    assert found.values["reliable"] == (not fired)
    if name == "plain":
        assert not fired
    if name in ("killed", "closed"):
        assert "square_gain" in fired
        assert {"square"} <= set(found.values["by_attack"]) <= {"square", "shorter", "more-steps", "nearer", "bisect"}


def test_the_same_words_give_the_same_bytes_at_any_batch_size(place, tmp_path):
    files = []
    for size in (8, 40):
        run(config(place, "plain", out=tmp_path / str(size), batch_size=size, suite="standard", n=20, eps=("0.06",)))
        names = ("images.parquet", "deltas.safetensors", "curve.svg", "curve.png")
        files.append({name: (tmp_path / str(size) / name).read_bytes() for name in names})
    assert files[0] == files[1]
    rows, changes = pq.read_table(tmp_path / "8" / "images.parquet").to_pylist(), load_file(tmp_path / "8" / names[1])
    assert all(changes["linf"][row["row"]].any() == (row["status"] == "fooled") for row in rows)


def test_a_killed_run_goes_on_to_the_same_files(place, tmp_path, monkeypatch):
    words = {"suite": "standard", "eps": ("0.04,0.08",), "n": 16}
    run(config(place, "plain", out=tmp_path / "whole", **words))
    script = (
        "import sys; from pathlib import Path; import vlmkit.core.attack.lanes as lanes;"
        "lanes.EVERY_S = 0.0; import torch; torch.set_num_threads(1);"
        "from vlmkit.core.configs.attack import AttackConfig; from vlmkit.core.recipes.attack import run;"
        f"run(AttackConfig(model={str(place / 'nets.py') + ':plain'!r}, images=Path({str(place / 'images.npz')!r}),"
        f"out=Path({str(tmp_path / 'cut')!r}), device='cpu', batch_size=16, suite='standard', n=16,"
        "eps=('0.04,0.08',)))"
    )
    trail = tmp_path / "cut" / ".vlmkit" / "linf-0.safetensors"
    for wait in (0.3, 1.0):
        process = subprocess.Popen([sys.executable, "-c", script])
        deadline = time.monotonic() + 60
        while not trail.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert trail.exists()
    found = run(config(place, "plain", out=tmp_path / "cut", **words))
    for name in ("images.parquet", "deltas.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    manifests = [json.loads((tmp_path / one / "manifest.json").read_text()) for one in ("cut", "whole")]
    assert manifests[0]["content_digest"] == manifests[1]["content_digest"]
    assert found.values["forwards_per_image"] == manifests[1]["metrics"]["forwards_per_image"]


def test_targets_are_what_the_model_then_gives(place, tmp_path):
    found = run(config(place, "plain", out=tmp_path / "to", target="2", eps=("0.3",)))
    rows = pq.read_table(tmp_path / "to" / "images.parquet").to_pylist()
    assert all(row["label"] != 2 for row in rows)
    fooled = [row for row in rows if row["status"] == "fooled"]
    assert fooled
    assert all(row["prediction"] == row["target"] == 2 for row in fooled)
    assert found.values["verified"] == {"claimed": len(fooled), "held": len(fooled)}


RING = '''
import torch
from torch import nn


class Ring(nn.Module):
    """Another class where the mean of the pixels is near 0.6."""

    def forward(self, x):
        one = 0.0025 - (x.mean((1, 2, 3)) - 0.6) ** 2
        return torch.stack([torch.zeros_like(one), 100 * one], 1)
'''


def test_a_published_attack_that_goes_too_far_has_missed(tmp_path):
    (tmp_path / "ring.py").write_text(RING)
    images = 0.5 + 0.01 * np.random.default_rng(0).random((12, 1, 4, 4), dtype=np.float32)
    np.savez(tmp_path / "near.npz", images=images, labels=np.zeros(12, dtype=np.int64))
    words = {"model": f"{tmp_path / 'ring.py'}:Ring", "images": tmp_path / "near.npz", "device": "cpu"}
    found = run(AttackConfig(**words, out=tmp_path / "out", attacks=("fgsm",), eps=("0.1,0.2",)))
    assert [one["robust_accuracy"] for one in found.values["curve"]] == [0, 1]
    rows = pq.read_table(tmp_path / "out" / "images.parquet").to_pylist()
    assert all(row["robust_at"] == [0.2] for row in rows)
    found = run(AttackConfig(**words, out=tmp_path / "ours", suite="fast", eps=("0.1,0.2",)))
    assert [one["robust_accuracy"] for one in found.values["curve"]] == [0, 0]
    found = run(AttackConfig(**words, out=tmp_path / "far", attacks=("fgsm",), eps=("0.2",)))
    signs = {one["indicator"]: one for one in found.values["evidence"]}
    assert found.values["curve"][0]["robust_accuracy"] == 1  # as published, though more steps find changes
    assert (signs["more_steps"]["count"], signs["more_steps"]["fired"]) == (12, True)
    assert not found.values["reliable"]
    assert found.values["verified"]["claimed"] == 0


def test_a_model_that_nothing_fools_has_nothing_to_show(place, tmp_path):
    found = run(config(place, "plain", out=tmp_path / "none", eps=("1e-6",)))
    assert found.values["curve"][0]["robust_accuracy"] == 37 / 40
    assert found.values["verified"] == {"claimed": 0, "held": 0}
    assert found.values["reliable"]
    assert not load_file(tmp_path / "none" / "deltas.safetensors")["linf"].any()


def test_published_suites_are_run_anew_at_each_radius(place, tmp_path):
    found = run(config(place, "plain", out=tmp_path / "pgd", suite="shao2021", eps=("0.02,0.05",), seed=310))
    steps = [one for one in found.values["steps"] if one["attack"] == "pgd-40"]
    assert [(one["eps"], one["tried"]) for one in steps] == [(0.05, 37), (0.02, 37)]
    assert found.values["curve"][0]["robust_accuracy"] == (37 - steps[1]["fooled"]) / 40
    assert found.values["curve"][1]["robust_accuracy"] == (37 - steps[0]["fooled"]) / 40


def test_fgsm_is_judged_at_each_radius_by_itself(place, tmp_path):
    model, data = model_of(place), np.load(place / "images.npz")
    x = torch.tensor(data["images"][:, None] / np.float32(255), dtype=torch.float32).requires_grad_()
    y = torch.tensor(data["labels"])
    radii = (0.02, 0.05, 0.1, 0.3, 0.6)
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(x), y, reduction="sum"), x)
    right = model(x).argmax(1) == y
    truth = [
        float((right & (model((x + eps * gradient.sign()).clamp(0, 1)).argmax(1) == y)).float().mean()) for eps in radii
    ]
    words = {"attacks": ("fgsm",), "suite": "standard", "eps": (",".join(map(str, radii)),)}
    found = run(config(place, "plain", out=tmp_path / "fgsm", **words))
    assert [one["robust_accuracy"] for one in found.values["curve"]] == pytest.approx(truth)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"eps": ("8",)}, "8/255 was probably meant"), ({"eps": ("0",)}, "positive"),
        ({"attacks": ("sqare",)}, "'square'"),
        ({"eps": ("l2:0.5",)}, "--norm l2"), ({"target": "9"}, "0 to 4"), ({"n": 0}, "--n"),
        ({"norm": ("l2",), "suite": "shao2021"}, "--norm linf"), ({"pixels": "model"}, "--pixels original"),
    ],
)  # fmt: skip
def test_wrong_words_are_refused_with_a_cure(place, tmp_path, words, said):
    suite = {"suite": "standard"} if "attacks" in words else {}
    with pytest.raises(InputError) as error:
        run(config(place, "plain", out=tmp_path / "no", **words | suite))
    assert said in str(error.value)
    assert not (tmp_path / "no").exists()


def test_the_help_names_every_attack():
    assert set(named.ATTACKS) == {name.strip() for name in attack.ATTACKS.split(",")}


def test_labels_in_another_order_are_refused_and_named(place, tmp_path):
    data = np.load(place / "images.npz")
    np.savez(tmp_path / "moved.npz", images=data["images"], labels=(data["labels"] + 1) % 5)
    with pytest.raises(InputError, match="guessing") as error:
        run(AttackConfig(model=f"{place / 'nets.py'}:plain", images=tmp_path / "moved.npz", out=tmp_path / "no"))
    assert "another order" in error.value.fix
    np.savez(tmp_path / "beyond.npz", images=data["images"], labels=data["labels"] + 3)
    with pytest.raises(InputError, match="beyond the model's 5 classes"):
        run(AttackConfig(model=f"{place / 'nets.py'}:plain", images=tmp_path / "beyond.npz", out=tmp_path / "no"))
    assert not (tmp_path / "no").exists()


def test_an_id_that_two_images_have_is_refused(place, tmp_path):
    data = np.load(place / "images.npz")
    images = [encode(pixels, "one") for pixels in data["images"]]
    rows = [{"id": "twice", "image": image, "label": int(y)} for image, y in zip(images, data["labels"], strict=True)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "images.parquet")
    with pytest.raises(InputError, match="'twice' is that of 40 images"):
        run(AttackConfig(model=f"{place / 'nets.py'}:plain", images=tmp_path / "images.parquet", out=tmp_path / "no"))


def test_images_of_several_shapes_lie_in_several_tensors(place, tmp_path):
    from PIL import Image

    data = np.load(place / "images.npz")
    grown = "\n\ndef wide():\n    net = Net()\n    return nn.Sequential(nn.AdaptiveAvgPool2d(8), net)\n"
    (tmp_path / "nets.py").write_text(CODE + grown)
    for at, (pixels, label) in enumerate(zip(data["images"], data["labels"], strict=True)):
        folder = tmp_path / "photos" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        shown = Image.fromarray(pixels)
        (shown if at % 3 else shown.resize((16, 8), Image.Resampling.NEAREST)).save(folder / f"{at}.png")
    found = run(
        AttackConfig(
            model=f"{tmp_path / 'nets.py'}:wide", images=tmp_path / "photos", out=tmp_path / "out", device="cpu",
            suite="fast", eps=("0.05",),
        )
    )  # fmt: skip
    changes = load_file(tmp_path / "out" / "deltas.safetensors")
    assert {name: tuple(one.shape[1:]) for name, one in changes.items()} == {
        "linf.1x8x8": (1, 8, 8),
        "linf.1x8x16": (1, 8, 16),
    }
    rows = pq.read_table(tmp_path / "out" / "images.parquet").to_pylist()
    assert len(rows) == 40
    assert found.values["verified"]["held"] == found.values["verified"]["claimed"] > 0
    assert {row["tensor"] for row in rows} == set(changes)
