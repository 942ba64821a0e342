"""Every example that a help text or the README shows is run, on small inputs under the names that it uses."""

import fcntl
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import typing
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate
from transformers import CLIPConfig, CLIPModel

from vlmkit.cli.app import COMMANDS
from vlmkit.core.configs.fields import Action
from vlmkit.core.io.images import encode
from vlmkit.core.io.tables import write_table
from vlmkit.core.samples.classifiers import preprocessor, train_classifier

ROOT = Path(__file__).parents[1]
SMALLER = [  # so that an example takes seconds: fewer tokens, fewer processes; every other word stays
    (r"pretrain clean --out", "pretrain clean --tokens 20000 --out"),
    (r"sample (web|web-tasks) --out", r"sample \1 --pages 150 --out"),
    (r"train-quality ", "train-quality --buckets 1000 --dimension 8 "),
    (r"--tokens \S+", "--tokens 20000"),
    (r"--multiplier \S+", "--tokens 20000"),
    (r"--size \S+", "--size tiny"),
    (r"--nproc \S+", "--nproc 2"),
    (r"--batch-size \d+", "--batch-size 4"),
    (r"--device cuda\S*", "--device cpu"),
    (r"--dtype bfloat16", "--dtype float32"),
    (r"attack (vit|net\S+|clip) (\S+) (?!.*(suite|attacks))", r"attack \1 \2 --suite fast "),
    (r"--suite autoattack", "--suite fast"),
    (r"--attacks \S+", "--attacks apgd-ce"),
    (r"--cutoff \d+", "--cutoff 3"),
    (r"attack certify", "attack certify --samples 60 --alpha 0.01 --n0 10"),
    (r"(attack (?!compare).*) --out", r"\1 --n 16 --out"),
]
NET = """
from transformers import AutoModelForImageClassification
from torch import nn
from torch.nn.functional import interpolate

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = AutoModelForImageClassification.from_pretrained("vit")

    def forward(self, x):
        return self.inner(2 * interpolate(x, (24, 24), mode="bilinear") - 1).logits

def load():
    return Net()
"""
SMALLER_BY_DEFAULT = {"VLMKIT_BATCH_SIZE": "4"}


def configs():
    for path in (ROOT / "src" / "vlmkit" / "core" / "configs").glob("*.py"):
        import_module(f"vlmkit.core.configs.{path.stem}")
    found, waiting = [], [Action]
    while waiting:
        waiting += (subclasses := waiting.pop().__subclasses__())
        found += [one for one in subclasses if getattr(one, "command", None) in COMMANDS]
    return sorted(found, key=lambda one: one.__name__)


def examples():
    shown = [line for config in configs() for line in config.examples]
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    shown += [
        line.removeprefix("$ ")
        for line in lines
        if "vlmkit " in line and not line.startswith(("#", "git", "pip", "uv"))
    ]
    return sorted(set(shown))


@pytest.fixture(scope="session")
def workspace(tmp_path_factory, vlmkit):
    """The inputs that examples name, each small; made once for all processes of a run of the tests."""
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]  # other inputs, another folder
    root = tmp_path_factory.getbasetemp().parent / f"workspace-of-examples-{version}"
    root.mkdir(exist_ok=True)
    with (root.parent / "workspace.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "law" / "manifest.json").is_file():
            fill(root, vlmkit)
    return root


def fill(root, vlmkit):
    """Make everything, with the commands themselves."""

    def make(*words):
        done = vlmkit(*words, cwd=root)
        assert done.code == 0, (words, done.err)

    make("sample", "web", "--pages", "120", "--out", "web")
    make("sample", "web-tasks", "--out", "tasks")
    make("curate", "web", "--tokenizer", "train", "--vocab-size", "512", "--out", "clean")
    (root / "corpus").symlink_to(root / "clean")
    for name in ("lm", "lm-a", "lm-b"):
        make(
            "pretrain",
            "clean",
            "--size",
            "tiny",
            "--tokens",
            "20000",
            "--seed",
            str(len(name)),
            "--name",
            name,
            "--out",
            name,
        )
    texts = [f"the word{at} and word{at + 1} of a good answer to question {at}" for at in range(40)]
    rows = [json.dumps({"id": f"doc-{at}", "text": text}) for at, text in enumerate(texts)]
    (root / "good.jsonl").write_text("\n".join(rows) + "\n")
    make("curate", "good.jsonl", "--stages", "extract,dedup", "--out", "docs")
    small = ("--buckets", "1000", "--dimension", "8")
    make(
        "curate",
        "train-quality",
        "--positive",
        "good.jsonl",
        "--negative",
        "clean/documents",
        *small,
        "--out",
        "quality",
    )
    make("eval", "lm", "--task-data", "tasks", "--limit", "5", "--out", "scores")
    prepare_tables(root)
    prepare_pictures(root)
    for name in ("vit", "cnn"):
        make("attack", name, "photos", "--suite", "fast", "--n", "16", "--out", f"{name}-robustness")
    make("fit-scaling", "runs.csv", "--out", "law")
    make("sample", "scaling", "--out", "simulated")


def prepare_tables(root):
    """Tables of simulated runs, a task file under one of DCLM's names, and scores as DCLM publishes them."""
    rows = []
    for N in (1e8, 2e8, 4e8, 8e8, 2e9):
        for M in (5, 20, 80):
            D = N * M
            rows.append({"N": N, "D": D, "M": M, "loss": 1.7 + 400 / N**0.34 + 500 / D**0.3 + 1e-3 * ((N * M) % 7 - 3)})
    (root / "runs.csv").write_text("N,D,M,loss\n" + "".join(f"{r['N']},{r['D']},{r['M']},{r['loss']}\n" for r in rows))
    lines = [json.dumps({"params": r["N"], "tokens": r["D"], "val_loss": r["loss"]}) for r in rows]
    (root / "runs.jsonl").write_text("\n".join(lines) + "\n")
    (root / "dclm-tasks").mkdir()
    items = [{"query": f"{a} plus 1 is", "choices": [str(a + 1), str(a + 2)], "gold": 0} for a in range(8)]
    (root / "dclm-tasks" / "copa.jsonl").write_text(
        "\n".join(json.dumps({"context_options": i["choices"], "continuation": i["query"], "gold": 0}) for i in items)
    )
    (root / "dclm_evals.jsonl").write_text(json.dumps({"name": "m", "icl": {"copa": 0.6, "boolq": 0.7}}) + "\n")


def prepare_pictures(root):
    """Small classifiers as users have them, and labelled images."""
    scans = load_digits()
    images, labels = (scans.images[:600] * (255 / 16)).round().astype(np.uint8)[:, None], scans.target[:600]
    settings = json.dumps(preprocessor(8))
    for name in ("vit", "cnn"):
        train_classifier(name, images, labels, epochs=6).save_pretrained(root / name)
        (root / name / "preprocessor_config.json").write_text(settings)
    write_images(root / "photos", images[500:560], labels[500:560])
    np.savez(root / "digits.npz", images=images[500:560], labels=labels[500:560])
    (root / "net.py").write_text(NET)
    (root / "denoise.py").write_text("from torch import nn\n\ndef load(): return nn.AvgPool2d(3, 1, 1)\n")
    prepare_clip(root, settings, images[500:560], labels[500:560])


def prepare_clip(root, settings, images, labels):
    """A CLIP model without training, whose classes are the means of its own features."""
    torch.manual_seed(0)
    tower = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    vision = {**tower, "image_size": 24, "patch_size": 6, "num_channels": 1}
    model = CLIPModel(CLIPConfig(text_config={**tower, "vocab_size": 50}, vision_config=vision, projection_dim=24))
    model.save_pretrained(root / "clip")
    (root / "clip" / "preprocessor_config.json").write_text(settings)
    pixels = interpolate(torch.from_numpy(images / np.float32(127.5) - 1).float(), (24, 24), mode="bilinear")
    with torch.no_grad():
        found = model.get_image_features(pixel_values=pixels)
    features = found if isinstance(found, torch.Tensor) else found.pooler_output
    features = features / features.norm(dim=1, keepdim=True)
    means = torch.stack([features[torch.from_numpy(labels) == one].mean(0) for one in range(10)])
    save_file({"embeddings": means - features.mean(0)}, root / "classes.safetensors")


def write_images(folder, images, labels):
    """A table of images."""
    struct = [encode(one[0], str(at)) for at, one in enumerate(images)]
    rows = [{"id": str(at), "image": one, "label": int(labels[at])} for at, one in enumerate(struct)]
    folder.mkdir()
    write_table(folder / "part-00000.parquet", rows, kind="images")


@pytest.mark.parametrize("line", examples())
def test_an_example_works(line, workspace, tmp_path, vlmkit):
    line = line.partition("  #")[0]
    for pattern, small in SMALLER:
        line = re.sub(pattern, small, line)
    env, words = dict(SMALLER_BY_DEFAULT), shlex.split(line, comments=True)
    while "=" in words[0]:
        key, _, value = words.pop(0).partition("=")
        env[key] = value.replace("/shared/cache", str(tmp_path / "cache"))
    assert words.pop(0) == "vlmkit"
    made = Path(words[words.index("--out") + 1]) if "--out" in words else None
    for source in workspace.iterdir():
        if made is None or source.name != made.parts[0]:
            (tmp_path / source.name).symlink_to(source)
    words = [found for word in words for found in (sorted(map(str, expand(tmp_path, word))) or [word])]
    done = vlmkit(*words, cwd=tmp_path, env=env)
    assert done.code == 0, done.err
    if made is not None:
        assert (tmp_path / made / "manifest.json").is_file()
        shutil.rmtree(tmp_path / made)


def expand(folder, word):
    """What a shell makes of a pattern."""
    return [path.relative_to(folder) for path in folder.glob(word)] if "*" in word else []


def test_every_action_has_examples_and_a_summary():
    for config in configs():
        assert len(config.examples) >= 2, config
        assert config.__doc__.splitlines()[0].endswith("."), config


def test_every_action_of_the_command_line_has_a_config():
    names = {(config.command, config.action) for config in configs()}
    for name, spec in COMMANDS.items():
        group = typer.main.get_group(import_module(f"vlmkit.cli.{spec.module}").app)
        assert {(name, action) for action in group.commands} <= names


def test_fields_are_annotated_with_what_the_bridge_can_read():
    from vlmkit.cli.options import hints, parameter

    for config in configs():
        assert all(parameter(item, hint) for item, hint in hints(config))
        assert typing.get_type_hints(config)


@pytest.mark.slow  # the gate runs `make demo QUICK=1`, the same thing with a few more tokens
def test_the_language_loop_in_miniature(tmp_path):
    models = "nano:9000 nano:18000 micro:9000 micro:27000 tiny:12000 petite:24000"
    tools = {"VLMKIT": f"{sys.executable} -m vlmkit", "PYTHON": sys.executable, "WEB": "--pages 150", "MODELS": models}
    words = ["make", "-C", str(ROOT / "examples" / "language-loop"), f"OUT={tmp_path / 'out'}"]
    done = subprocess.run(
        [*words, *(f"{name}={value}" for name, value in tools.items())], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "petite-24000" in page
    for word in ("<script", 'src="http', 'href="http', "url(http", str(tmp_path)):  # self-contained
        assert word not in page, word


EVERY = "plain robust bootstrap foreign refit"


@pytest.mark.parametrize(
    ("laws", "answers"),
    [("plain", ""), pytest.param(EVERY, "compare tasks frontier plan next", marks=pytest.mark.slow)],
)
def test_the_scaling_laws_beside_their_truth(laws, answers, tmp_path):
    tools = {"VLMKIT": f"{sys.executable} -m vlmkit", "PYTHON": sys.executable, "DRAWS": "50"}
    tools |= {"LAWS": laws, "ANSWERS": answers}
    words = ["make", "-C", str(ROOT / "examples" / "scaling-law"), f"OUT={tmp_path / 'out'}"]
    done = subprocess.run(
        [*words, *(f"{name}={value}" for name, value in tools.items())], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    table = (tmp_path / "out" / "beside.txt").read_text(encoding="utf-8")
    assert [line.partition(":")[0] for line in table.splitlines() if line and line[0] != " "] == laws.split()
    assert "web-7b-m20-s0" in table
    assert "OUTSIDE" not in table
    assert table in done.stdout
