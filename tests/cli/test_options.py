"""Words, environment, file and defaults become a config; every mistake names the option and the nearest right word."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import typer

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.fields import Action, argument, option
from vlmkit.core.errors import InputError
from vlmkit.core.io.job import Result


@dataclass(frozen=True, kw_only=True)
class ToyConfig(Action):
    """Do a toy thing."""

    command: ClassVar[str] = "toy"
    data: tuple[Path, ...] = argument(help="Data.")
    eps: tuple[float, ...] = option((4 / 255,), help="Radii.")
    predict: tuple[str, ...] = option((), help="Points.", repeat=True)
    val: dict[str, Path] = option({}, help="Sets.")
    tokens: int | None = option(None, help="How many.")
    norm: Literal["linf", "l2"] = option("linf", help="Norm.")
    shuffle: bool = option(True, help="Shuffle.")


@pytest.fixture
def run(capsys):
    app = actions("toy")

    @command(app, ToyConfig)
    def toy(config):
        return Result(
            {"seen": {k: str(v) for k, v in vars(config).items()}, "eps": config.eps, "tokens": config.tokens}
        )

    def call(*words):
        code = typer.main.get_group(app)(list(map(str, words)), standalone_mode=False)
        assert code == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def data(tmp_path):
    (tmp_path / "a").write_text("")
    (tmp_path / "b").write_text("")
    return tmp_path


def test_words_take_the_type_of_their_field(run, data):
    words = ["--eps", "1/255,0.5", "--eps", "1e-3", "--tokens", "2e6", "--json", "--no-shuffle"]
    words += ["--predict", "1e9,2e10", "--predict", "3e9,6e10"]
    found = run(data / "a", data / "b", *words, "--val", f"x={data / 'a'}")
    assert found["eps"] == [1 / 255, 0.5, 1e-3]
    assert found["tokens"] == 2_000_000
    assert found["seen"]["predict"] == "('1e9,2e10', '3e9,6e10')"  # repeated words are not split
    assert found["seen"]["shuffle"] == "False"
    assert found["command"] == "toy"
    assert found["action"] == "run"
    assert found["artifact"] is None
    assert found["seconds"] >= 0


def test_flag_before_environment_before_file_before_default(run, data, monkeypatch):
    (data / "c.toml").write_text('seed = 1\nnorm = "l2"\ntokens = 7\neps = [0.1, 0.2]\n')
    words = [data / "a", "--config", data / "c.toml", "--json"]
    monkeypatch.setenv("VLMKIT_TOKENS", "8")
    monkeypatch.setenv("VLMKIT_SEED", "2")
    seen = run(*words, "--seed", 3)["seen"]
    assert (seen["seed"], seen["tokens"], seen["norm"], seen["eps"]) == ("3", "8", "l2", "(0.1, 0.2)")
    origins = run(*words, "--seed", 3, "--print-config")["config"]
    assert [origins[name]["origin"] for name in ("seed", "tokens", "norm", "shuffle")] == [
        "command line", "environment", str(data / "c.toml"), "default",
    ]  # fmt: skip


def test_one_file_may_serve_several_commands(run, data):
    (data / "c.toml").write_text('[toy]\nnorm = "l2"\n\n[other]\nx = 1\n')
    assert run(data / "a", "--config", data / "c.toml", "--json")["seen"]["norm"] == "l2"


@pytest.mark.parametrize(
    ("words", "what", "where", "fix"),
    [
        (["--tokens", "many"], "'many' is not a number", "--tokens", "such as 1000 or 1e6"),
        (["--tokens", "1.5"], "'1.5' is not a whole number", "--tokens", "such as 2"),
        (["--eps", "1/0"], "'1/0' is not a number", "--eps", "4/255"),
        (["--norm", "linff"], "unknown value 'linff'", "--norm", "did you mean 'linf'?"),
        (["--val", "x"], "'x' is not NAME=VALUE", "--val", "web=held-out"),
        (["--device", "gpu"], "unknown device 'gpu'", "--device", "cuda"),
        (["--config", "no.toml"], "no.toml does not exist", "--config", "TOML"),
        (["--val", "x=missing"], "missing does not exist", "missing", ""),
    ],
)
def test_wrong_words(run, data, words, what, where, fix):
    with pytest.raises(InputError) as caught:
        run(data / "a", *words)
    assert what in caught.value.what
    assert where in caught.value.where
    assert fix in caught.value.fix


def test_an_unknown_key_of_a_file_is_named_by_line(run, data):
    (data / "c.toml").write_text('seed = 1\nnrm = "l2"\n')
    with pytest.raises(InputError) as caught:
        run(data / "a", "--config", data / "c.toml")
    assert caught.value.where == f"{data / 'c.toml'}:2"
    assert "'norm'" in caught.value.fix
