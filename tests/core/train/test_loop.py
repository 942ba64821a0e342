"""The loop: learning, accumulation, clipping, logs, faults, interrupts; its own time."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from tiny import VOCAB, same_bits, stream, tiny_llama, train, weights
from torch import nn

from vlmkit.core.errors import RunError
from vlmkit.core.train.checkpoint import Checkpoints
from vlmkit.core.train.data import Windows
from vlmkit.core.train.loop import fit, measure, prepare
from vlmkit.core.train.losses import next_token
from vlmkit.core.train.schedule import constant


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def square(model, batch, generator):
    error = (model(batch["x"]) - batch["y"]).square().mean()
    return error, {"rmse": error.detach().sqrt()}


def test_any_model_and_loss_train_on_plain_dicts():
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    batches = [{"x": x, "y": x @ torch.tensor([[1.0], [2.0], [-1.0]])}] * 60
    run = fit(nn.Linear(3, 1), batches, square, optim=sgd, schedule=constant(), clip=None)
    assert run.rows["loss"][-1] < 1e-3 < run.rows["loss"][0]
    assert run.rows["rmse"][-1] == pytest.approx(run.rows["loss"][-1] ** 0.5, rel=1e-5)
    assert run.tokens == 60 * 64


def test_the_first_losses_are_those_of_a_loop_written_out(tmp_path):
    data = stream(tmp_path)
    run = train(data, tokens=4 * 64, dtype=torch.float64)
    model = tiny_llama().double()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), eps=1e-8, weight_decay=0.033)
    losses = []
    for step in range(4):
        batch = run.batches[step][0]
        logits = model(input_ids=batch["input_ids"]).logits.flatten(0, 1)
        lse = torch.logsumexp(logits, 1)
        nll = torch.nn.functional.cross_entropy(logits, batch["targets"].flatten())
        (nll + 1e-3 * lse.square().mean()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = run.rows["lr"][step]
        optimizer.step()
        optimizer.zero_grad()
        losses.append(nll.item())
    assert run.rows["cross_entropy"] == pytest.approx(losses, rel=1e-6)  # logged in float32
    for a, b in zip(run.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("micro", [1, 2, 3])
def test_accumulated_gradients_equal_those_of_the_whole_batch(tmp_path, micro):
    data = stream(tmp_path)
    one = train(data, tokens=70 * 5 + 3, dtype=torch.float64)  # the last batch ends within a window
    many = train(data, tokens=70 * 5 + 3, dtype=torch.float64, micro=micro)
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(many)[name], value, rtol=0, atol=1e-6)  # Llama norms in float32
    assert many.rows["loss"] == pytest.approx(one.rows["loss"], rel=1e-6)


def test_exactly_the_asked_tokens_are_counted(tmp_path):
    run = train(stream(tmp_path), tokens=701)
    assert run.tokens == 701
    assert run.rows["tokens"][-1] == 701
    assert run.rows["step"] == list(range(1, run.num_steps + 1))


def test_gradients_are_clipped_to_the_norm(tmp_path):
    norms = []

    def look(run):
        norms.append(run.rows["grad_norm"][-1])

    data = stream(tmp_path)
    free, clipped = train(data, clip=None, hooks=(look,)), train(data, clip=1e-3)
    assert norms == free.rows["grad_norm"]
    assert not same_bits(weights(free), weights(clipped))
    assert clipped.rows["grad_norm"][0] == pytest.approx(
        free.rows["grad_norm"][0]
    )  # the norm before clipping is logged


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_weights(tmp_path):
    data, seen = stream(tmp_path), set()
    model = tiny_llama()
    model.model.layers[0].mlp.down_proj.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    loss = next_token(model)
    batches = Windows(data, seq_len=16, rows=4)
    fit(model, batches, loss, optim=sgd, schedule=constant(), autocast=torch.bfloat16)
    assert torch.bfloat16 in seen
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_dropout_is_drawn_from_the_seed(tmp_path):
    data = stream(tmp_path)
    a, b = (train(data, model=tiny_llama(dropout=0.5), tokens=200, seed=4) for _ in range(2))
    assert same_bits(weights(a), weights(b))


def test_a_loss_that_is_no_number_stops_the_run_before_the_step():
    model, batches = nn.Linear(2, 1), [{"x": torch.ones(1, 2)}] * 5

    def broken(model, batch, generator):
        loss = model(batch["x"]).sum()
        return loss * (float("nan") if generator.initial_seed() == seeds[2] else 1.0), {}

    seeds: list[int] = []
    fit(
        nn.Linear(2, 1),
        batches,
        lambda m, b, g: (seeds.append(g.initial_seed()), (m(b["x"]).sum(), {}))[1],
        optim=sgd,
        schedule=constant(),
    )
    with pytest.raises(RunError, match="loss is nan at step 3 of 5") as caught:
        fit(model, batches, broken, optim=sgd, schedule=constant())
    assert "--lr" in caught.value.fix
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_for_the_step_saves_and_the_run_goes_on_to_the_same_bits(tmp_path, number):
    data = stream(tmp_path / "data")
    whole = train(data)
    previous = signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(SystemExit(143)))

    def strike(run):
        if run.step == 5:
            os.kill(os.getpid(), number)

    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(data, folder=tmp_path / "saved", every=1000, hooks=(strike,))
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert Checkpoints(tmp_path / "saved").latest().name == "step-00000005"
    again = train(data, folder=tmp_path / "saved", every=1000)
    assert same_bits(weights(again), weights(whole))
    assert again.rows["loss"] == whole.rows["loss"]


def test_measured_loss_is_the_mean_over_tokens_whatever_the_rows(tmp_path):
    data, model = stream(tmp_path, documents=9), tiny_llama().double()
    tokens = torch.from_numpy(data.read(0, len(data)))
    nats = 0.0
    for start in range(0, len(tokens) - 1, 16):
        part = tokens[start : start + 17]
        logits = model(input_ids=part[None, :-1]).logits[0]
        nats += torch.nn.functional.cross_entropy(logits, part[1:], reduction="sum").item()
    for rows in (1, 4, 50):
        run = prepare(model, [], next_token(model), optim=sgd)
        found = measure(run, Windows(data, seq_len=16, rows=rows))
        assert found["cross_entropy"] == pytest.approx(nats / (len(tokens) - 1), rel=1e-9)


def test_the_loop_itself_takes_little_of_the_time():
    """Under 5 % on a model of 1M parameters; benchmarks/train_loop.py prints the figure."""
    model = tiny_llama(
        vocab_size=4096, hidden_size=96, intermediate_size=256, num_hidden_layers=3, max_position_embeddings=128
    )
    assert 0.9e6 < sum(p.numel() for p in model.parameters()) < 1.3e6
    draw = torch.Generator().manual_seed(0)
    rows = torch.randint(0, VOCAB, (8, 129), generator=draw)
    batches = [{"input_ids": rows[:, :-1], "targets": rows[:, 1:]}] * 12
    run = fit(
        model,
        batches,
        next_token(model),
        optim=lambda m: torch.optim.AdamW(m.parameters(), fused=True),
        schedule=constant(),
    )
    assert sorted(run.rows["overhead"])[len(batches) // 2] < 0.05


def golden_losses(folder: Path) -> list[float]:
    return [round(x, 6) for x in train(stream(folder), tokens=20 * 64, dtype=torch.float64).rows["cross_entropy"]]


def test_the_first_twenty_losses_are_the_golden_ones(tmp_path):
    """The command that made them stands beside them."""
    expected = json.loads((Path(__file__).parents[2] / "golden" / "train_losses.json").read_text())
    assert golden_losses(tmp_path) == pytest.approx(expected["losses"], abs=2e-5)
