"""The machine as a toolkit sees it: installed packages with their known traps, and room to work.

Each check gives a row (name, state, found, fix); a fault means that something would break or give wrong numbers.
"""

import os
import shutil
from importlib import metadata
from pathlib import Path
from typing import Literal

REQUIRED = ("numpy", "transformers", "tokenizers", "safetensors", "pyarrow", "typer", "rich", "pillow", "statsmodels")
PACKAGES = {  # what some commands need and a GPU image may lack: distributions that provide it, the command
    "datatrove": (("datatrove",), "curate"),
    "resiliparse": (("resiliparse",), "curate"),
    "fasttext": (
        ("fasttext-numpy2-wheel", "fasttext-numpy2", "fasttext", "fasttext-wheel", "fasttext-predict"),
        "curate",
    ),
    "faiss": (("faiss-cpu", "faiss-gpu"), "retrieve"),
    "lm-eval": (("lm-eval",), "eval"),
    "scikit-learn": (("scikit-learn",), "sample digits"),
    "matplotlib": (("matplotlib",), "pictures"),
    "accelerate": (("accelerate",), "eval"),
}
WRONG_FASTTEXT = ("fasttext", "fasttext-wheel", "fasttext-predict")  # wrong probabilities with NumPy 2, or no training
FREE_BYTES = 2 << 30

Row = dict[str, object]
State = Literal["ok", "note", "fault"]


def check(name: str, state: State, found: str, fix: str = "") -> Row:
    """One line of the table."""
    return {"name": name, "state": state, "found": found, "fix": fix}


def version(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def installed(names: tuple[str, ...]) -> list[str]:
    """Those distributions that are installed."""
    return [name for name in names if version(name)]


def packages() -> list[Row]:
    """The packages of the project, and which command needs each of the others."""
    rows = []
    for name in REQUIRED:
        found = version(name)
        rows.append(check(name, "ok", found) if found else check(name, "fault", "absent", f"pip install {name}"))
    for name, (distributions, user) in PACKAGES.items():
        here = installed(distributions)
        found = ", ".join(f"{one} {version(one)}" for one in here)
        absent = check(name, "note", f"absent: `{user}` needs it", f"pip install {distributions[0]}")
        rows.append(check(name, "ok", found) if here else absent)
    return rows


def torchvision(cuda: str | None) -> Row:
    """A torchvision built for CUDA beside a CPU torch (cuda None) breaks `from transformers import CLIPModel`."""
    found = version("torchvision")
    if found is None:
        return check("torchvision", "ok", "absent (not needed)")
    if cuda is None and "+cpu" not in found:
        what = f"{found}, a CUDA build beside a CPU torch: transformers cannot import CLIP"
        return check("torchvision", "fault", what, "pip uninstall -y torchvision")
    return check("torchvision", "ok", found)


def fasttext() -> Row:
    """Builds of fastText from before NumPy 2 return wrong probabilities; several builds overwrite one another."""
    found = installed(PACKAGES["fasttext"][0])
    cure = f"pip uninstall -y {' '.join(found)} && pip install fasttext-numpy2-wheel"
    if len(found) > 1:
        return check("fasttext build", "fault", f"{' and '.join(found)} share one folder", cure)
    if found and found[0] in WRONG_FASTTEXT:
        return check("fasttext build", "fault", f"{found[0]} gives wrong numbers with NumPy 2 or cannot train", cure)
    return check("fasttext build", "ok", found[0] if found else "absent")


def faiss() -> Row:
    """faiss-cpu and faiss-gpu share one folder: the second overwrites the first in silence."""
    found = installed(PACKAGES["faiss"][0])
    if len(found) > 1:
        cure = "pip uninstall -y faiss-cpu faiss-gpu && pip install faiss-gpu"
        return check("faiss build", "fault", "faiss-cpu and faiss-gpu are both installed and share one folder", cure)
    return check("faiss build", "ok", found[0] if found else "absent")


def room() -> Row:
    """Cores, memory and free disk here."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{os.cpu_count()} cores, {memory / 2**30:.0f} GiB memory, {free / 2**30:.0f} GiB free disk"
    return check(
        "room", "ok" if free > FREE_BYTES else "note", found, "" if free > FREE_BYTES else "free some disk space"
    )
