"""Token budgets, warm-ups, memory: what a run will take."""

import pytest
import torch
from tiny import tiny_llama

from vlmkit.core.errors import InputError
from vlmkit.core.train.budget import memory_bytes, seq_len_of, token_budget, utilisation, warmup_steps

DEFAULTS = {"default": 20.0, "epochs": 8}


def test_dclm_scales_come_out_exactly():
    """411,616,256 parameters at 1x are 8,232,325,120 tokens (specs/pretrain.md 1.3)."""
    assert token_budget(411_616_256, 10**12, tokens=None, multiplier=20, **DEFAULTS) == 8_232_325_120
    assert token_budget(411_616_256, 10**12, tokens=None, multiplier=None, **DEFAULTS) == 8_232_325_120


def test_the_default_budget_makes_few_passes_and_a_wish_is_obeyed():
    assert token_budget(1000, 100, tokens=None, multiplier=None, **DEFAULTS) == 800
    assert token_budget(1000, 100, tokens=12_345, multiplier=None, **DEFAULTS) == 12_345
    assert token_budget(1000, 100, tokens=None, multiplier=20, **DEFAULTS) == 20_000


def test_warmup_is_at_most_three_tenths_of_a_run_unless_asked_for():
    assert warmup_steps(None, 2000, 7851) == 2000  # 411m_1x
    assert warmup_steps(None, 2000, 1000) == 300
    assert warmup_steps(7, 2000, 10) == 7
    with pytest.raises(InputError, match="a warm-up of 11 steps"):
        warmup_steps(11, 2000, 10)


def test_sequences_fit_into_the_model():
    model = tiny_llama()
    assert seq_len_of(model, None, 2048) == 64
    assert seq_len_of(model, 32, 2048) == 32
    with pytest.raises(InputError, match="at most 64"):
        seq_len_of(model, 65, 2048)


def test_memory_grows_with_the_batch_and_counts_the_optimizer():
    model = tiny_llama()
    params = sum(p.numel() for p in model.parameters())
    small, large = (memory_bytes(model, rows=rows, seq_len=64) for rows in (1, 100))
    assert 16 * params < small < large


def test_utilisation_is_unknown_on_a_cpu():
    assert utilisation(1e12, 1.0, torch.device("cpu"), 1) is None
