"""Imports point one way (DESIGN.md, section 2): the walk fails on any other arrow."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "vlmkit"
METHODS = {"curate", "scaling", "retrieve", "instruct", "align", "judge", "attack", "distill", "mpc"}
PARTS = {"models", "ops", "io", "cuda"}
LEAVES = {"errors", "shapes"}
ARROWS = {  # who may import whom, besides itself and the leaves
    "cli": {"configs", "recipes"},
    "configs": set(),
    "recipes": {"configs", "train", "evaluate", "samples", *PARTS, *METHODS},
    "train": PARTS,
    "evaluate": {"models", "ops", "io"},
    "models": {"ops", "io", "cuda"},
    "ops": {"cuda"},
    "samples": {"io", "models", "ops", "train"},
    "io": set(),
    "cuda": set(),
} | dict.fromkeys(METHODS, PARTS)
FILES = sorted(ROOT.rglob("*.py"))


def layer(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "core" and len(parts) > 1 else parts[0]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute here"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def target(name):
    parts = name.split(".")
    if parts[0] != "vlmkit" or len(parts) < 2:
        return None
    found = parts[2] if parts[1] == "core" and len(parts) > 2 else parts[1]
    return found if any((ROOT / p).exists() for p in (found, f"core/{found}", f"core/{found}.py")) else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_one_way(path):
    here = layer(path)
    if here in ARROWS:
        wrong = {
            name for name in imports(path) if (to := target(name)) and to not in {here, "core", *LEAVES} | ARROWS[here]
        }
        assert not wrong


@pytest.mark.parametrize("layer_name", ["cli", "core/configs"])
def test_the_command_line_is_light(layer_name):
    allowed = {"typer", "rich", "vlmkit"}
    import sys

    for path in (ROOT / layer_name).rglob("*.py"):
        roots = {name.split(".")[0] for name in imports(path)}
        assert roots <= allowed | set(sys.stdlib_module_names), path


def test_nothing_but_cuda_and_the_command_line_reads_the_environment():
    for path in FILES:
        if layer(path) not in {"cli", "cuda"} and "parallel" not in path.stem:
            text = path.read_text(encoding="utf-8")
            assert "os.environ" not in text, path
            assert "getenv" not in text, path


def test_packages_hold_a_docstring_and_nothing_else():
    for path in ROOT.rglob("__init__.py"):
        if path.parent != ROOT:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1, path
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
