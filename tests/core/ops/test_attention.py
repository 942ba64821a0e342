import pytest
import torch

from vlmkit.core.ops.attention import attend
from vlmkit.core.ops.attention_twice import attend_twice


def random_qkv(*, B=2, H=4, K=2, S=5, T=7, D=3, Dv=3, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = (B, H, S, D), (B, K, T, D), (B, K, T, Dv)
    return [torch.randn(*shape, dtype=dtype, generator=generator, requires_grad=True) for shape in shapes]


def truth(q, k, v, *, mask=None, causal=False, scale):
    """The formula, head by head, in float64."""
    out = torch.zeros(*q.shape[:3], v.shape[-1], dtype=torch.float64)
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            g = h // (q.shape[1] // k.shape[1])
            for i in range(q.shape[2]):
                score = scale * k[b, g].double() @ q[b, h, i].double()
                if causal:
                    score = score.where(torch.arange(len(score)) <= i, -torch.inf)
                if mask is not None:
                    row = mask.expand(*q.shape[:3], len(score))[b, h, i]
                    score = score.where(row, -torch.inf) if mask.dtype == torch.bool else score + row
                if score.isfinite().any():
                    out[b, h, i] = score.softmax(dim=0) @ v[b, g].double()
    return out


def masks(S=5, T=7):
    generator = torch.Generator().manual_seed(1)
    some = torch.rand(2, 1, S, T, generator=generator) < 0.7
    some[1, 0, 2] = False  # a query that sees nothing
    padding = torch.ones(2, 1, 1, T, dtype=torch.bool)
    padding[0, ..., :3] = False
    bias = torch.randn(1, 4, S, T, generator=generator, dtype=torch.float64)
    return {"none": None, "bool": some, "padding": padding, "bias": bias}


IMPLEMENTATIONS = {"plain": lambda *a, **k: attend(*a, **k)[0], "twice": attend_twice}


@pytest.mark.parametrize("kind", masks())
@pytest.mark.parametrize("K", [1, 2, 4])
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_attention_is_the_formula(name, K, kind):
    q, k, v = random_qkv(K=K, Dv=2)
    mask = masks()[kind]
    out = IMPLEMENTATIONS[name](q, k, v, mask=mask, scale=0.7)
    torch.testing.assert_close(out, truth(q, k, v, mask=mask, scale=0.7), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_causal_attention_sees_no_later_key(name):
    q, k, v = random_qkv(S=7)
    out = IMPLEMENTATIONS[name](q, k, v, causal=True, scale=0.5)
    torch.testing.assert_close(out, truth(q, k, v, causal=True, scale=0.5), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", masks())
@pytest.mark.parametrize("K", [1, 2])
def test_both_backwards_are_the_derivatives(K, kind):
    inputs = random_qkv(B=2, H=2, K=K, S=3, T=4, D=2, Dv=3)
    mask = {"bias": torch.randn(1, 2, 3, 4, dtype=torch.float64)}.get(kind, masks(S=3, T=4)[kind])

    def function(q, k, v):
        return attend_twice(q, k, v, mask=mask, scale=0.7)

    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_the_causal_backwards_are_the_derivatives():
    inputs = random_qkv(B=1, H=4, K=2, S=4, T=4, D=2)
    assert torch.autograd.gradgradcheck(lambda q, k, v: attend_twice(q, k, v, causal=True, scale=0.7), inputs)


@pytest.mark.parametrize("block", [1, 30, 1 << 24])
def test_results_do_not_depend_on_the_block(block, monkeypatch):
    monkeypatch.setattr("vlmkit.core.ops.attention_twice.BLOCK", block)
    results = {}
    for name, attention in IMPLEMENTATIONS.items():
        q, k, v = random_qkv(S=7)
        loss = attention(q, k, v, mask=masks(S=7)["bool"], scale=0.7).square().sum()
        first = torch.autograd.grad(loss, (q, k, v), create_graph=True)
        results[name] = *first, *torch.autograd.grad(sum(g.pow(3).sum() for g in first), (q, k, v))
    for plain, twice in zip(results["plain"], results["twice"], strict=True):
        torch.testing.assert_close(twice, plain, rtol=1e-10, atol=1e-10)


def test_a_query_that_sees_nothing_has_no_gradient():
    mask = torch.zeros(1, 1, 3, 4, dtype=torch.bool)
    for attention in IMPLEMENTATIONS.values():
        q, k, v = random_qkv(B=1, S=3, T=4)
        out = attention(q, k, v, mask=mask, scale=1.0)
        assert not out.any()
        for grad in torch.autograd.grad(out.sum(), (q, k, v)):
            assert not grad.any()


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_as_good_as_torch(name, dtype):
    q, k, v = random_qkv(B=1, S=64, T=64, D=16, Dv=16, dtype=dtype)
    exact = truth(q, k, v, scale=0.25)
    peer = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=0.25, enable_gqa=True)
    ours = IMPLEMENTATIONS[name](q, k, v, scale=0.25)
    rounding = torch.finfo(dtype).eps * exact.abs().max()
    assert (ours - exact).abs().max() <= 2 * (peer - exact).abs().max() + rounding


def test_no_weights_are_kept():
    q, k, v = random_qkv(B=1, H=2, K=1, S=64, T=64, D=2, Dv=2)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        attend_twice(q, k, v, scale=1.0)
    assert max(kept) == q.numel()


def test_a_mask_that_wants_a_gradient_is_refused():
    q, k, v = random_qkv()
    with pytest.raises(ValueError, match="mask"):
        attend_twice(q, k, v, mask=torch.zeros(5, 7, dtype=torch.float64, requires_grad=True), scale=1.0)


def test_a_third_derivative_is_refused_not_wrong():
    q, k, v = random_qkv()
    (first,) = torch.autograd.grad(attend_twice(q, k, v, scale=1.0).square().sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="twice differentiable"):
        torch.autograd.grad(first.square().sum(), q, create_graph=True)


def test_dropped_weights_are_scaled_up():
    q, k, v = random_qkv(S=50, T=60)
    torch.manual_seed(0)
    _, weights = attend(q, k, v, scale=1.0, dropout=0.25)
    _, full = attend(q, k, v, scale=1.0)
    dropped = weights == 0
    assert 0.2 < dropped.double().mean() < 0.3
    torch.testing.assert_close(weights[~dropped], full[~dropped] / 0.75)
