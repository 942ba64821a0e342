"""Compiling the operations on first use: g++ for the CPU, nvcc for GPUs, into a cache; without a compiler, plain torch.

A library is a plain shared object called through ctypes: nothing is linked against torch, so one build serves every
version of it. The cache is keyed by sources, flags, compiler and processor; builds hold a lock and appear by rename.
`VLMKIT_KERNELS` is auto (compile when possible), off (plain torch), or require (fail without a compiler);
`VLMKIT_CACHE` names the cache.
"""

import ctypes
import fcntl
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Target = Literal["cpu", "cuda", "host"]

SOURCES = Path(__file__).parent / "csrc"
GPU_CODE = (  # sm_90a is not forward compatible, so PTX for 8.0 goes along
    "-gencode=arch=compute_90a,code=sm_90a",
    "-gencode=arch=compute_80,code=sm_80",
    "-gencode=arch=compute_80,code=compute_80",
)
FLAGS: dict[Target, tuple[str, ...]] = {
    "cpu": ("-O3", "-std=c++17", "-march=native", "-fno-math-errno", "-fopenmp", "-fPIC", "-shared"),
    "cuda": ("-O3", "-std=c++17", "-Xcompiler", "-fPIC", "-shared", "-cudart", "static", *GPU_CODE),
    "host": (
        "-O2",
        "-std=c++17",
        "-fPIC",
        "-shared",
        "-x",
        "c++",
    ),  # the .cu file run by fibers, to test it without a GPU
}
SUFFIX: dict[Target, str] = {"cpu": ".cpp", "cuda": ".cu", "host": ".cu"}

log = logging.getLogger("vlmkit")


class BuildError(RuntimeError):
    """A compiler is there, but refused a source, or the user asked for compiled operations and there is none."""


@dataclass(frozen=True)
class Status:
    """How one operation stands for one target: ready, absent (not built yet), or without a compiler."""

    name: str
    target: Target
    state: Literal["built", "not built", "no compiler", "off"]
    compiler: str
    library: str


def load(name: str, target: Target) -> ctypes.CDLL | None:
    """The compiled library of an operation, built now if need be; None where plain torch has to serve.

    Raises:
        BuildError: `VLMKIT_KERNELS=require` and no library can be had.
    """
    return _load(name, target, mode())


@functools.cache
def _load(name: str, target: Target, how: str) -> ctypes.CDLL | None:
    if how == "off":
        return None
    try:
        return ctypes.CDLL(str(build(name, target)))
    except (BuildError, OSError) as error:
        if how == "require":
            raise BuildError(f"VLMKIT_KERNELS=require, but {name} cannot be compiled for {target}: {error}") from error
        log.warning("%s runs uncompiled on %s, which is slower: %s", name, target, error)
        return None


def build(name: str, target: Target) -> Path:
    """Compile an operation unless the cache has it, and give the path of its library.

    Raises:
        BuildError: no compiler, or it refused the source.
    """
    compiler = find_compiler(target)
    if compiler is None:
        raise BuildError(f"no {'nvcc' if target == 'cuda' else 'C++ compiler'} found")
    library = path_of(name, target, compiler)
    if library.is_file():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with library.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.is_file():
            compile_to(library, SOURCES / f"{name}{SUFFIX[target]}", compiler, target)
    return library


def compile_to(library: Path, source: Path, compiler: str, target: Target) -> None:
    """Run the compiler; the library appears whole or not at all."""
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        words = [compiler, *FLAGS[target], "-I", str(SOURCES), "-o", str(made), str(source)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BuildError(f"`{' '.join(words)}` failed:\n{done.stderr.strip()[-2000:]}")
        os.replace(made, library)


def status(name: str, target: Target) -> Status:
    """How an operation stands for a target, without building anything."""
    compiler = find_compiler(target)
    library = path_of(name, target, compiler) if compiler else None
    built = library is not None and library.is_file()
    state: Literal["built", "not built", "no compiler", "off"]
    state = "off" if mode() == "off" else "built" if built else "not built" if compiler else "no compiler"
    return Status(name, target, state, compiler or "", str(library) if library and built else "")


def path_of(name: str, target: Target, compiler: str) -> Path:
    """Where the cache holds a library: the name carries a digest of all that decides its code."""
    parts = [
        compiler_version(compiler),
        *FLAGS[target],
        target,
        platform.machine(),
        processor() if target == "cpu" else "",
    ]
    source = SOURCES / f"{name}{SUFFIX[target]}"
    texts = [source.read_bytes(), *(header.read_bytes() for header in sorted(SOURCES.glob("*.h")))]
    digest = hashlib.sha256("\0".join(parts).encode() + b"\0".join(texts)).hexdigest()[:20]
    return cache() / f"{name}-{target}-{digest}.so"


def find_compiler(target: Target) -> str | None:
    """The compiler for a target, or None."""
    names = (
        ("nvcc", "/usr/local/cuda/bin/nvcc")
        if target == "cuda"
        else (os.environ.get("CXX", ""), "g++", "clang++", "c++")
    )
    return next((found for name in names if name and (found := shutil.which(name))), None)


@functools.cache
def compiler_version(compiler: str) -> str:
    """What the compiler says of itself."""
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout


@functools.cache
def processor() -> str:
    """The processor's abilities: code for the native machine is no use on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())


def cache() -> Path:
    """The folder of compiled libraries."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vlmkit"
    return Path(os.environ.get("VLMKIT_CACHE") or default) / "kernels"


def mode() -> str:
    """auto, off or require."""
    return os.environ.get("VLMKIT_KERNELS", "auto")
