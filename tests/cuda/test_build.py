"""The loader: cache, lock, fallbacks, and what the .cu files compile to."""

import re
import subprocess
import sys

import pytest
import torch

from vlmkit.cuda import build, operations

needs_compiler = pytest.mark.skipif(build.find_compiler("cpu") is None, reason="no C++ compiler here")
ON_CUDA = [operation for operation in operations.OPERATIONS if "cuda" in operation.targets]
needs_nvcc = pytest.mark.skipif(build.find_compiler("cuda") is None, reason="no nvcc here")


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty cache, and a loader that remembers nothing."""
    monkeypatch.setenv("VLMKIT_CACHE", str(tmp_path))
    build._load.cache_clear()
    yield tmp_path
    build._load.cache_clear()


@needs_compiler
def test_built_once_then_taken_from_the_cache(fresh):
    assert build.status("cross_entropy", "cpu").state == "not built"
    library = build.build("cross_entropy", "cpu")
    written = library.stat().st_mtime_ns
    assert build.build("cross_entropy", "cpu") == library
    assert library.stat().st_mtime_ns == written
    assert build.status("cross_entropy", "cpu").state == "built"


@needs_compiler
def test_two_processes_that_build_at_once_get_one_library(fresh):
    code = "from vlmkit.cuda import build; print(build.build('cross_entropy', 'host'))"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = {process.communicate()[0].strip() for process in running}
    assert len(found) == 1
    assert not [path for path in (fresh / "kernels").iterdir() if path.suffix not in (".so", ".lock")]


def test_without_a_compiler_plain_torch_serves_and_says_so(fresh, monkeypatch, caplog):
    monkeypatch.setattr(build, "find_compiler", lambda target: None)
    logging = build.log
    monkeypatch.setattr(logging, "propagate", True)
    assert build.load("cross_entropy", "cpu") is None
    assert build.load("cross_entropy", "cpu") is None
    said = {id(record): record.levelname for record in caplog.records}  # pytest may listen at two loggers
    assert list(said.values()) == ["WARNING"]  # once
    monkeypatch.setenv("VLMKIT_KERNELS", "require")
    with pytest.raises(build.BuildError, match="require"):
        build.load("cross_entropy", "cpu")


def test_switched_off(fresh, monkeypatch):
    monkeypatch.setenv("VLMKIT_KERNELS", "off")
    assert build.load("cross_entropy", "cpu") is None
    assert build.status("cross_entropy", "cpu").state == "off"


@needs_compiler
def test_a_source_that_does_not_compile_is_shown(fresh, monkeypatch, tmp_path):
    (tmp_path / "broken.cpp").write_text("int broken(")
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    with pytest.raises(build.BuildError, match="expected"):
        build.build("broken", "cpu")


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda operation: operation.name)
def test_each_operation_agrees_with_its_reference(operation):
    ours, plain = operation.check(torch.device("cpu"))
    assert ours <= 2 * plain + 2**-23


@needs_nvcc
@pytest.mark.parametrize("operation", ON_CUDA, ids=lambda operation: operation.name)
def test_cuda_sources_compile_for_all_targets_without_spills(operation, tmp_path):
    words = [build.find_compiler("cuda"), *build.FLAGS["cuda"], "-Xptxas", "-v", "-o", str(tmp_path / "k.so")]
    done = subprocess.run(
        [*words, str(build.SOURCES / f"{operation.name}.cu")], capture_output=True, text=True, check=True
    )
    spills = re.findall(r"(\d+) bytes spill stores", done.stderr)
    assert spills
    assert set(spills) == {"0"}
