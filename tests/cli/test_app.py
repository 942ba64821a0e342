"""The command line from outside: exit codes, three-line errors, one JSON object, nothing heavy imported to refuse."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "numpy", "pandas", "pyarrow", "datasets", "ray", "faiss", "statsmodels", "matplotlib"}

WRONG = [  # each exits 2 and names what is wrong
    (["inspekt", "."], "did you mean 'inspect'?"),
    (["inspect", "no-such-thing"], "no-such-thing does not exist"),
    (["inspect", ".", "--row", "3"], "--rows"),
    (["inspect", ".", "--rows", "three"], "'three' is not a number"),
    (["inspect", ".", "--seed"], "--seed"),
    (["inspect", ".", "extra"], "extra"),
    (["inspect", ".", "--config", "absent.toml"], "absent.toml does not exist"),
    (["inspect", ".", "--device", "tpu"], "unknown device 'tpu'"),
    (["inspect", ".", "--dtype", "float33"], "did you mean 'float32'?"),
    (["inspect", ".", "--workers", "-3"], "--workers is -3"),
    (["verify", "."], "no manifest in this folder"),
    (["verify", "missing"], "missing does not exist"),
    (["--nope"], "--nope"),
    (["kernels", "bild"], ""),
    (["sample", "wib", "--out", "x"], "web"),
    (["sample", "web"], "--out is missing"),
    (["curate", "absent.warc", "--out", "x"], "absent.warc does not exist"),
    (["curate", ".", "--out", "x", "--stages", "extrakt"], "extract"),
    (["pretrain", "absent", "--out", "x"], "absent does not exist"),
    (["pretrain", ".", "--out", "x", "--size", "huge"], "--size"),
    (["pretrain", ".", "--out", "x", "--schedule", "cosin"], "did you mean 'cosine'?"),
    (["eval", "absent"], ""),
    (["eval", "aggregate", "absent.json"], "absent.json does not exist"),
    (["fit-scaling", "absent.csv", "--out", "x"], "absent.csv does not exist"),
    (["fit-scaling", "fit", "absent.csv", "--law", "gadr"], "did you mean 'gadre'?"),
    (["fit-scaling", "predict", "absent"], "nothing to predict"),
    (["fit-scaling", "predict", "absent", "--predict", "1e9,1e10"], "absent does not exist"),
]


@pytest.mark.parametrize(
    ("words", "expected"), WRONG, ids=lambda value: "-".join(value) if isinstance(value, list) else ""
)
def test_wrong_words_exit_2_with_three_lines(vlmkit, tmp_path, words, expected):
    done = vlmkit(*words, cwd=tmp_path)
    assert done.code == 2
    assert expected in done.err
    assert "Traceback" not in done.err
    assert done.err.startswith("error: ")
    assert done.out == ""
    assert not list(tmp_path.iterdir())  # a refused command creates nothing
    again = vlmkit(*words, "--json", cwd=tmp_path)
    error = again.json["error"]
    assert again.code == error["code"] == 2
    assert set(error) == {"code", "kind", "what", "where", "fix"}


LIGHT = [["--help"], ["inspect", "--help"], ["inspect", "x"], ["curate", "x", "--out", "y"], ["pretrain", "--help"]]


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_help_and_refusal_import_nothing_heavy(words, tmp_path):
    code = f"""
import sys
from vlmkit.cli.app import run
run({words!r})
print(sorted(set(sys.modules) & {HEAVY!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_words_show_the_overview(vlmkit):
    done = vlmkit()
    assert done.code == 0
    assert "inspect" in done.out


def test_json_is_one_object_and_a_table_has_no_escapes_in_a_pipe(vlmkit, tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    found = vlmkit("inspect", tmp_path, "--json").json
    assert found["kind"] == "folder"
    assert found["command"] == "inspect"
    done = vlmkit("inspect", tmp_path, env={"NO_COLOR": "1"})
    assert "\x1b" not in done.out
    assert "a.txt" in done.out


def test_a_closed_pipe_leaves_no_traceback(tmp_path):
    line = f"{sys.executable} -m vlmkit kernels list --json | head -c 0"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_standard_output_is_an_environment_error(tmp_path):
    line = f"{sys.executable} -m vlmkit inspect . > /dev/full"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_a_place_that_is_no_folder_is_an_environment_error_or_a_refusal(vlmkit, tmp_path):
    (tmp_path / "file").write_text("")
    done = vlmkit("sample", "web-tasks", "--out", tmp_path / "file" / "out", "--json")
    assert done.code == 3
    assert done.json["error"]["kind"] == "capability"


def test_a_fault_of_ours_is_told_without_a_traceback(monkeypatch, capsys):
    from vlmkit.cli import app

    def broken(*words, **options):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(app, "app", broken)
    assert app.run(["inspect", "x", "--json"]) == 1
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    assert json.loads(shown.out)["error"]["kind"] == "failed"


def test_the_overview_says_what_each_command_says_of_itself(vlmkit):
    from importlib import import_module

    from vlmkit.cli.app import COMMANDS

    for name, spec in COMMANDS.items():
        import typer

        group = typer.main.get_group(import_module(f"vlmkit.cli.{spec.module}").app)
        first = next(iter(group.commands.values()))
        assert first.help.splitlines()[0] == spec.summary, name
