"""Two gloo processes train as one does, up to rounding; a lost peer is reported, not waited for."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tiny import token_set, train

from vlmkit.core.errors import CapabilityError, InputError
from vlmkit.core.io.tokens import TokenSet
from vlmkit.core.train.checkpoint import gather_weights
from vlmkit.core.train.data import Windows, whole
from vlmkit.core.train.launch import launch
from vlmkit.core.train.loop import measure
from vlmkit.core.train.parallel import Ranks, launched


@dataclass(frozen=True)
class Task:
    """What the processes of a test do."""

    data: Path
    folder: Path | None = None
    tokens: int = 70 * 5 + 3
    micro: int | None = None
    fault: str = ""


def work(task: Task, ranks: Ranks) -> dict[str, object]:
    def trouble(run):
        if ranks.rank == 1 and run.step == 3:
            if task.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise InputError("a fault of one process", where="here", fix="there")

    data = whole([TokenSet(task.data)])
    hooks = (trouble,) if task.fault else ()
    run = train(
        data, tokens=task.tokens, micro=task.micro, folder=task.folder, ranks=ranks, dtype=torch.float64, hooks=hooks
    )
    found = measure(run, Windows(data, seq_len=16, rows=5))
    return {"weights": gather_weights(run.model), "rows": run.rows, "loss": found["cross_entropy"]}


SLOW = pytest.mark.slow  # below, one process that goes on as two tests FSDP every day


@pytest.mark.parametrize(
    ("kind", "micro"), [("ddp", 1), pytest.param("ddp", None, marks=SLOW), pytest.param("fsdp", 1, marks=SLOW)]
)
def test_two_processes_train_as_one(tmp_path, kind, micro):
    token_set(tmp_path / "data")
    one = work(Task(tmp_path / "data"), Ranks())
    two = launch(work, Task(tmp_path / "data", micro=micro), nproc=2, kind=kind, device="cpu")
    assert two["rows"]["loss"] == pytest.approx(one["rows"]["loss"], rel=1e-5)
    assert two["rows"]["grad_norm"] == pytest.approx(one["rows"]["grad_norm"], rel=1e-5)
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-6)
    for name, value in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], value, rtol=0, atol=1e-5)


def test_a_run_begun_by_one_process_goes_on_with_two(tmp_path):
    token_set(tmp_path / "data")
    one = work(Task(tmp_path / "data", tmp_path / "saved"), Ranks())
    two = launch(work, Task(tmp_path / "data", tmp_path / "saved"), nproc=2, kind="fsdp", device="cpu")
    assert two["rows"]["step"] == one["rows"]["step"]
    assert two["rows"]["loss"][:4] == one["rows"]["loss"][:4]
    for name, value in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], value, rtol=0, atol=1e-5)


def test_a_lost_peer_is_a_capability_error_within_seconds(tmp_path):
    token_set(tmp_path / "data")
    begin = time.monotonic()
    with pytest.raises(CapabilityError, match="lost"):
        launch(work, Task(tmp_path / "data", fault="kill", tokens=10**6), nproc=2, kind="ddp", device="cpu")
    assert time.monotonic() - begin < 60


def test_the_error_of_one_process_is_the_error_of_the_run(tmp_path):
    token_set(tmp_path / "data")
    with pytest.raises(InputError, match="a fault of one process"):
        launch(work, Task(tmp_path / "data", fault="input", tokens=10**6), nproc=2, kind="ddp", device="cpu")


def test_the_users_own_torchrun_is_recognised(monkeypatch):
    assert not launched()
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launched()


@pytest.mark.parametrize(("rows", "world", "micro"), [(4, 2, None), (5, 2, 1), (1, 4, None), (7, 3, 2), (6, 1, 4)])
def test_shares_cover_each_row_once_and_are_as_many_on_every_rank(rows, world, micro):
    piece = {"input_ids": torch.arange(rows)[:, None], "targets": torch.arange(rows)[:, None]}
    shares = [Ranks(rank, world).shares([piece], micro) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    seen = [row for share in shares for batch, part in share if part for row in batch["input_ids"][:, 0].tolist()]
    assert sorted(seen) == list(range(rows))
    assert sum(part for share in shares for _, part in share) == pytest.approx(1.0)
    assert all(1 <= len(batch["input_ids"]) <= (micro or rows) for share in shares for batch, _ in share)
