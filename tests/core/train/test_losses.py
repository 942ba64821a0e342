"""The loss of a language model, fused and plain, against the formula in float64; the fused gradient by gradcheck."""

import pytest
import torch
import torch.nn.functional as F
from tiny import VOCAB, tiny_llama
from transformers import GemmaConfig, GemmaForCausalLM, GPT2Config, GPT2LMHeadModel, GraniteConfig, GraniteForCausalLM

from vlmkit.core.ops.linear_cross_entropy import BLOCK, linear_cross_entropy
from vlmkit.core.train.losses import next_token, splits

SMALL = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def plain(x, weight, targets, z_weight):
    logits = x @ weight.T
    return F.cross_entropy(logits, targets) + z_weight * torch.logsumexp(logits, 1).square().mean()


@pytest.fixture
def _small_blocks(monkeypatch):
    monkeypatch.setitem(BLOCK, "cpu", 1)  # 128 rows a block


@pytest.mark.parametrize("rows", [1, 127, 128, 300])
@pytest.mark.usefixtures("_small_blocks")
def test_fused_loss_and_gradient_equal_the_plain_ones(rows):
    draw = torch.Generator().manual_seed(rows)
    x, weight = (torch.randn(n, 8, generator=draw, dtype=torch.float64, requires_grad=True) for n in (rows, 31))
    targets = torch.randint(0, 31, (rows,), generator=draw)
    if rows > 5:
        targets[3:5] = -100
    wanted = plain(x, weight, targets, 0.01)
    expected = torch.autograd.grad(wanted * 3, (x, weight))
    total, nll, z = linear_cross_entropy(x, weight, targets, z_weight=0.01)
    found = torch.autograd.grad(total * 3, (x, weight))
    torch.testing.assert_close(total, wanted)
    torch.testing.assert_close(nll + z, wanted.detach())
    torch.testing.assert_close(found, expected)


def test_gradcheck():
    x, weight = (torch.randn(n, 3, dtype=torch.float64, requires_grad=True) for n in (5, 7))
    targets = torch.tensor([0, 6, -100, 3, 3])
    assert torch.autograd.gradcheck(lambda x, w: linear_cross_entropy(x, w, targets, z_weight=0.1)[0], (x, weight))


def test_without_a_gradient_nothing_is_kept():
    x, weight = torch.randn(5, 3), torch.randn(7, 3)
    total, _, _ = linear_cross_entropy(x, weight, torch.zeros(5, dtype=torch.long))
    assert total.grad_fn is None


def test_bfloat16_is_about_as_close_to_the_truth_as_plain_torch():
    draw = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(n, 64, generator=draw, requires_grad=True) for n in (256, 512))
    targets = torch.randint(0, 512, (256,), generator=draw)
    truth = torch.autograd.grad(plain(x.double(), weight.double(), targets, 1e-3), (x, weight))
    with torch.autocast("cpu", torch.bfloat16):
        logits = (x @ weight.T).float()
        loss = F.cross_entropy(logits, targets) + 1e-3 * torch.logsumexp(logits, 1).square().mean()
        fused, _, _ = linear_cross_entropy(x, weight, targets, z_weight=1e-3)
    ours, theirs = torch.autograd.grad(fused, (x, weight)), torch.autograd.grad(loss, (x, weight))
    for a, b, exact in zip(ours, theirs, truth, strict=True):
        assert a.dtype == torch.float32
        assert (a - exact).norm() <= 2 * (b - exact).norm() + 1e-3 * exact.norm()


def test_models_whose_logits_are_a_plain_product_are_recognised():
    assert splits(tiny_llama())
    assert splits(tiny_llama(tie_word_embeddings=True))
    assert splits(GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_embd=16, n_layer=1, n_head=2, n_positions=64)))
    assert splits(GemmaForCausalLM(GemmaConfig(**SMALL, num_key_value_heads=1, head_dim=8)))
    assert not splits(GraniteForCausalLM(GraniteConfig(**SMALL, logits_scaling=4.0)))


def test_the_plain_path_gives_the_same_loss(monkeypatch):
    model = tiny_llama().double()
    ids = torch.randint(0, VOCAB, (2, 9))
    batch = {"input_ids": ids[:, :-1], "targets": ids[:, 1:]}
    results = []
    for fused in (True, False):
        monkeypatch.setattr("vlmkit.core.train.losses.splits", lambda model, fused=fused: fused)
        loss, metrics = next_token(model, z_weight=0.01)(model, batch, torch.Generator())
        results.append(
            [loss, metrics["cross_entropy"], metrics["z_loss"], *torch.autograd.grad(loss, list(model.parameters()))]
        )
    torch.testing.assert_close(results[0], results[1])
