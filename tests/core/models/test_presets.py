import json

import pytest
import torch

from vlmkit.core.errors import InputError
from vlmkit.core.models.presets import PRESETS, SIZES, build_causal_lm, count_parameters, flops_per_token

PUBLISHED = {  # Gadre et al., Table 2, and DCLM's training configurations
    "11m": 10_569_312,
    "79m": 78_914_048,
    "154m": 153_677_376,
    "411m": 411_616_256,
    "1b": 1_439_795_200,
    "3b": 2_795_932_160,
    "7b": 6_889_410_560,
}


def on_meta(arch, size, **changes):
    return build_causal_lm(arch, size, **{"vocab_size": 50432, "seed": 0, "device": "meta"} | changes)


@pytest.mark.parametrize("size", PUBLISHED)
def test_parameters_are_counted_as_published(size):
    model = on_meta("open_lm", size)
    assert count_parameters(model) == PUBLISHED[size]
    gains = 2 * model.config.num_hidden_layers * model.config.hidden_size
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[size] + gains
    assert model.config.qk_norm
    assert model.config.max_position_embeddings == 2048


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("arch", PRESETS)
def test_sizes_match_across_architectures(arch, size):
    ratio = count_parameters(on_meta(arch, size)) / count_parameters(on_meta("open_lm", size))
    assert 0.9 < ratio < 1.01  # qwen3 shares each key head between two query heads


@pytest.mark.parametrize("arch", PRESETS)
def test_the_seed_decides_the_weights(arch):
    torch.manual_seed(9)
    before = torch.get_rng_state()
    a, b, c = (build_causal_lm(arch, "tiny", vocab_size=300, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True))
    assert {p.dtype for p in a.parameters()} == {torch.float32}


@pytest.mark.parametrize("arch", PRESETS)
def test_every_architecture_runs_and_has_a_gradient(arch):
    model = build_causal_lm(arch, "tiny", vocab_size=300, seed=0)
    tokens = torch.randint(0, 300, (2, 16))
    model(tokens, labels=tokens).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_model_may_come_from_a_configuration(tmp_path):
    path = tmp_path / "mine.json"
    words = {
        "model_type": "gpt2",
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 64,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    path.write_text(json.dumps(words))
    model = build_causal_lm(str(path), "tiny", vocab_size=300, seed=0, seq_len=64)
    assert model(torch.zeros(1, 4, dtype=torch.long)).logits.shape == (1, 4, 300)
    assert count_parameters(model) == sum(p.numel() for p in model.parameters())
    with pytest.raises(InputError, match="at most 64"):
        build_causal_lm(str(path), "tiny", vocab_size=300, seed=0, seq_len=65)


WRONG = {
    "not json": ("{", "cannot be read"),
    "a list": ("[]", "model_type"),
    "no type": ("{}", "model_type"),
    "unknown type": ('{"model_type": "lama"}', "llama"),
    "wrong kind": ('{"model_type": "vit"}', "causal language model"),
    "impossible": ('{"model_type": "llama", "hidden_size": 33, "num_attention_heads": 4}', "multiple"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_configuration_that_makes_no_model_is_named(tmp_path, case):
    path = tmp_path / "config.json"
    path.write_text(WRONG[case][0])
    with pytest.raises(InputError, match=WRONG[case][1]) as caught:
        build_causal_lm(str(path), "tiny", vocab_size=300, seed=0)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("arch", "size", "hint"),
    [("openlm", "tiny", "open_lm"), ("open_lm", "412m", "411m"), ("none.json", "tiny", "none.json")],
)
def test_an_unknown_name_is_refused_with_a_near_one(arch, size, hint):
    with pytest.raises(InputError, match=hint):
        build_causal_lm(arch, size, vocab_size=300, seed=0)


def test_a_token_costs_six_flops_a_parameter_and_attention_on_top():
    model = on_meta("open_lm", "411m")
    assert flops_per_token(model) == 6 * 411_616_256
    assert flops_per_token(model, seq_len=2048) - flops_per_token(model) == 12 * 24 * 1024 * 2048
