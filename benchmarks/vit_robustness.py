"""The questions of "On the adversarial robustness of vision transformers" asked of small models: the tables of
docs/papers/vit-robustness.md.

    python benchmarks/vit_models.py OUT && python benchmarks/vit_robustness.py OUT [--n 500] [--save]

Every figure comes from a `vlmkit attack` command, which is printed; what is done is not done again.
"""

import argparse
import datetime
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from vit_models import MODELS, word

EPS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25)
PLAIN = [name for name in MODELS if not name.endswith("hardened")]
CARRIED = ["vit-small", "vit", "hybrid-2", "convnext", "resnet"]
SPECTRA = ["vit", "hybrid-2", "convnext", "resnet", "vit-hardened", "convnext-hardened"]
LOOKED_INTO = [
    "vit-small",
    "vit",
    "vit-large",
    "convnext-small",
    "convnext",
    "resnet",
    "vit-hardened",
    "convnext-hardened",
]
RESULTS = Path(__file__).parent / "results" / "vit_robustness.md"


def vlmkit(*words: object) -> dict[str, Any]:
    """What a command says in JSON."""
    call = [sys.executable, "-m", "vlmkit", "attack", *map(str, words), "--json", "-q"]
    print("vlmkit attack", *words, flush=True)
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return json.loads(done.stdout)


def percent(value: float) -> str:
    """A fraction as tables have it."""
    return f"{100 * value:.1f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def curves(out: Path, n: int) -> str:
    """Robust accuracy of every model."""
    rows = []
    for name in MODELS:
        eps = ",".join(map(str, EPS))
        found = vlmkit("run", word(name, out), out / "test.npz", "--n", n, "--eps", eps, "--out", out / "runs" / name)
        fired = [one["indicator"] for one in found["evidence"] if one["fired"]]
        values = [found["clean_accuracy"], *(one["robust_accuracy"] for one in found["curve"])]
        cost = f"{found['forwards_per_image']:.0f}"
        rows.append([name, *map(percent, values), cost, ", ".join(fired) or "yes"])
    return table(["model", "clean", *map(str, EPS), "forwards an image", "reliable"], rows)


def pairs(out: Path) -> str:
    """Whether the images can tell models apart."""
    rows = []
    for a, b in (("vit", "convnext"), ("vit", "resnet"), ("vit", "hybrid-1"), ("hybrid-1", "hybrid-3"),
                 ("vit-small", "vit-large"), ("vit-hardened", "convnext-hardened")):  # fmt: skip
        found = vlmkit("compare", out / "runs" / a, out / "runs" / b)["comparisons"]
        wanted = 0.2 if "hardened" in a else 0.05
        one = next(one for one in found if one["eps"] == wanted)
        difference = f"{100 * one['difference']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
        rows.append([f"{a} less {b}", str(wanted), difference, f"{one['p']:.2g}"])
    return table(["models", "radius", "difference in points (95 %)", "McNemar p"], rows)


def transfer(out: Path, n: int) -> str:
    """What fools one model shown to the others."""
    models = [word(name, out) for name in CARRIED]
    where = out / "transfer"
    found = vlmkit("transfer", *models, out / "test.npz", "--n", n, "--eps", "0.05,0.1,0.2", "--out", where)
    parts = []
    for one in found["matrices"]:
        rows = [[name, *map(percent, row)] for name, row in zip(CARRIED, one["accuracy"], strict=True)]
        parts.append(f"FGSM at {one['eps']}:\n\n" + table(["made for \\ shown to", *CARRIED], rows))
    return "\n\n".join(parts)


def spectra(out: Path, n: int) -> str:
    """Which frequencies of a change fool a model."""
    rows = []
    for name in SPECTRA:
        eps = "0.2" if name.endswith("hardened") else "0.1"
        where = out / "spectra" / name
        found = vlmkit(
            "spectrum", word(name, out), out / "test.npz", "--n", n, "--eps", eps, "--cutoff", 7, "--out", where
        )
        by = {one["change"]: one["accuracy"] for one in found["bands"]}
        shares = {one["band"]: one["share"] for one in found["energy"]}
        keys = ("all", "low", "mixed", "high")
        rows.append([name, eps, *(percent(by[key]) for key in keys)])
        rows[-1] += [percent(by[key]) for key in ("without high", "pgd-low", "pgd-high")]
        rows[-1] += [percent(shares[key]) for key in ("low", "mixed", "high")]
    head = [
        "model",
        "radius",
        "whole",
        "low alone",
        "mixed alone",
        "high alone",
        "all but high",
        "attack in low",
        "attack in high",
    ]
    return table([*head, "energy low", "mixed", "high"], rows)


def features(out: Path, n: int) -> str:
    """How low the frequencies are that models keep."""
    models = [word(name, out) for name in LOOKED_INTO]
    found = vlmkit("features", *models, out / "test.npz", "--n", n, "--eps", "0.05", "--out", out / "features")
    rows = []
    for one in found["models"]:
        shares = [f"{one['low_share']:.3f}", f"{one['white']:.3f}", f"{one['layers'][-1]['drift']:.2f}"]
        rows.append([one["name"], percent(one["robust_accuracy"]), *shares])
    told = json.dumps([found["correlation"], *found["correlation_by_band"]])
    head = ["model", "robust at 0.05 (fast)", "low share, layer 1", "of white noise", "drift of the last layer"]
    return table(head, rows) + f"\n\nCorrelation of low share and robust accuracy: `{told}`"


def main() -> None:
    """Ask everything, and print or save the tables."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("out", type=Path)
    words.add_argument("--n", type=int, default=500)
    words.add_argument("--save", action="store_true")
    asked = words.parse_args()
    begun = time.monotonic()
    parts = {
        "Robust accuracy, Linf, suite standard": curves(asked.out, asked.n), "Pairs": pairs(asked.out),
        "Transfer: accuracy": transfer(asked.out, asked.n), "Frequency: accuracy": spectra(asked.out, asked.n),
        "Features": features(asked.out, asked.n),
    }  # fmt: skip
    text = "\n\n".join(f"## {title}\n\n{part}" for title, part in parts.items())
    head = f"# Robustness of small vision transformers\n\n{datetime.date.today()}, {platform.machine()}, "
    head += f"`python benchmarks/vit_robustness.py OUT --n {asked.n}`, {time.monotonic() - begun:.0f} s. Percent of "
    head += f"{asked.n} of the last 2,000 images of MNIST's test set; models of benchmarks/vit_models.py.\n\n"
    print(head + text)
    if asked.save:
        RESULTS.write_text(head + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
