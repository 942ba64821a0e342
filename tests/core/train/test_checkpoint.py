"""Checkpoints appear whole or not at all, and a run goes on from them to the same bits."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny import same_bits, stream, token_set, train, weights

from vlmkit.core.errors import InputError
from vlmkit.core.io.tensors import load_tensors
from vlmkit.core.train.checkpoint import Checkpoints


class Stop(Exception):
    """The run ends here."""


@pytest.mark.parametrize("step", [1, 2, 7, 10])
def test_a_run_goes_on_to_the_same_bits_from_any_step(tmp_path, step):
    data = stream(tmp_path / "data")
    whole = train(data)

    def halt(run):
        if run.step == step:
            Checkpoints(tmp_path / "saved").save(run)
            raise Stop

    with pytest.raises(Stop):
        train(data, folder=tmp_path / "saved", every=1000, hooks=(halt,))
    again = train(data, folder=tmp_path / "saved", every=1000)
    assert same_bits(weights(again), weights(whole))
    for name in ("loss", "lr", "grad_norm", "step", "tokens"):
        assert again.rows[name] == whole.rows[name]


def test_a_checkpoint_says_where_in_the_data_it_is_and_only_the_last_is_kept(tmp_path):
    run = train(stream(tmp_path / "data"), tokens=2500, folder=tmp_path / "saved", every=3)
    (left,) = (tmp_path / "saved").iterdir()
    state = json.loads((left / "state.json").read_text())
    windows = run.batches.num_windows
    step = state["step"]
    assert left.name == f"step-{step:08d}"
    assert state["data"] == {"epoch": step * 4 // windows, "sequence": step * 4 % windows, "tokens": step * 64}
    assert state["tokens"] == step * 64


def test_half_written_checkpoints_are_not_seen(tmp_path):
    data = stream(tmp_path / "data")
    whole = train(data, folder=tmp_path / "saved", every=4)
    (tmp_path / "saved" / "step-00000009.tmp-1").mkdir()
    assert same_bits(weights(train(data, folder=tmp_path / "saved")), weights(whole))


def test_a_damaged_checkpoint_is_named(tmp_path):
    data = stream(tmp_path / "data")
    train(data, folder=tmp_path / "saved", every=4)
    path = Checkpoints(tmp_path / "saved").latest() / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError) as caught:
        train(data, folder=tmp_path / "saved", every=4)
    assert "model.safetensors" in caught.value.where


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    data = stream(tmp_path / "data")
    train(data, folder=tmp_path / "saved", every=4)
    with pytest.raises(InputError, match="of a run of"):
        train(data, folder=tmp_path / "saved", every=4, tokens=900)


def killed_runs(tmp_path: Path, moments: list[float]) -> None:
    """Kill a real process at given seconds after its first step, then let it finish; compare with a whole run."""
    token_set(tmp_path / "data")
    script = [sys.executable, str(Path(__file__).with_name("train_process.py")), str(tmp_path / "data")]
    subprocess.run([*script, str(tmp_path / "whole"), str(tmp_path / "whole.safetensors")], check=True)
    for index, moment in enumerate(moments):
        words = [*script, str(tmp_path / f"saved{index}"), str(tmp_path / f"killed{index}.safetensors")]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(moment)
        process.kill()
        process.wait()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        a, b = (load_tensors(tmp_path / f"{name}.safetensors") for name in ("whole", f"killed{index}"))
        assert same_bits(a, b)
        assert not list(tmp_path.glob(f"saved{index}/*.tmp-*/state.json"))
        assert torch.equal(a["rows/step"], torch.arange(1.0, len(a["rows/step"]) + 1, dtype=torch.float64))


def test_killed_once_the_same_command_ends_in_the_same_bits(tmp_path):
    killed_runs(tmp_path, [0.05])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_many_moments_the_same_command_ends_in_the_same_bits(tmp_path):
    killed_runs(tmp_path, [0.0, 0.011, 0.02, 0.037, 0.06, 0.09, 0.13, 0.2, 0.31])
