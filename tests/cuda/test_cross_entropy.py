"""The fused cross-entropy agrees with float64, with its own .cu file run by fibers, and with torch's autograd."""

import ctypes

import pytest
import torch
from torch.library import opcheck

from vlmkit.cuda import build
from vlmkit.cuda import cross_entropy as op

needs_compiler = pytest.mark.skipif(build.find_compiler("cpu") is None, reason="no C++ compiler here")


def rows(N=33, V=517, *, dtype=torch.float32, scale=6.0, device="cpu"):
    generator = torch.Generator().manual_seed(N * V)
    logits = (torch.randn(N, V, generator=generator) * scale).to(device, dtype)
    targets = torch.randint(0, V, (N,), generator=generator)
    targets[:: max(N // 5, 2)] = -100
    return logits, targets.to(device)


def naive(logits, targets, z_weight):
    """The formula in float64, by torch's own functions."""
    wide = logits.detach().double().requires_grad_()
    lse = torch.logsumexp(wide, dim=1)
    mean = torch.nn.functional.cross_entropy(wide, targets)
    loss = mean + z_weight * lse.square().mean()
    loss.backward()
    return loss.detach(), mean.detach(), wide.grad


@pytest.mark.parametrize(("N", "V"), [(1, 1), (1, 2), (3, 15), (5, 16), (7, 17), (33, 517), (257, 4099)])
@pytest.mark.parametrize("z_weight", [0.0, 1e-2])
def test_loss_and_gradient_equal_float64(N, V, z_weight):
    logits, targets = rows(N, V)
    targets[-1] = V - 1  # at least one row counts
    loss, mean, grad = naive(logits, targets, z_weight)
    logits.requires_grad_()
    ours, alone = op.cross_entropy(logits, targets, z_weight=z_weight)
    ours.backward()
    torch.testing.assert_close(ours.double(), loss, rtol=2e-6, atol=2e-6)
    torch.testing.assert_close(alone.double(), mean, rtol=2e-6, atol=2e-6)
    torch.testing.assert_close(logits.grad.double(), grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 3000.0])
def test_error_is_at_most_twice_that_of_plain_torch(scale):
    logits, targets = rows(64, 3001, scale=scale)
    truth = op.reference(logits.double(), targets, -100)
    ours, plain = op.row_nll(logits, targets, -100), op.reference(logits, targets, -100)
    for exact, a, b in zip(truth, ours, plain, strict=True):
        rounding = exact.abs().max() * 2**-23  # of the output itself
        assert (a - exact).abs().max() <= 2 * (b - exact).abs().max() + rounding


def test_gradients_by_finite_differences():
    logits, targets = rows(4, 9, dtype=torch.float64, scale=2.0)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: op.cross_entropy(x, targets, z_weight=0.3)[0], (logits,))


def test_the_operation_is_well_behaved():
    logits, targets = rows(6, 40)
    opcheck(op.row_nll, (logits.requires_grad_(), targets, -100))


def test_impossible_classes_and_hopeless_rows():
    logits, targets = rows(6, 40)
    logits[:, :20] = -torch.inf
    targets[:] = 30
    ours, plain = op.row_nll(logits, targets, -100), op.reference(logits, targets, -100)
    torch.testing.assert_close(ours, plain)
    logits[2, 5] = torch.nan
    nll, lse = op.row_nll(logits, targets, -100)
    assert nll[2].isnan()
    assert lse[2].isnan()
    assert not nll[[0, 1, 3, 4, 5]].isnan().any()


def test_a_target_outside_the_vocabulary_is_refused():
    logits, targets = rows(6, 40)
    targets[1] = 40
    with pytest.raises(IndexError, match="40 classes"):
        op.cross_entropy(logits, targets)


def test_all_rows_ignored_gives_zero_loss_and_zero_gradient():
    logits, targets = rows(6, 40)
    targets[:] = -100
    logits.requires_grad_()
    loss, _ = op.cross_entropy(logits, targets)
    loss.backward()
    assert loss == 0
    assert logits.grad.abs().max() == 0


def test_other_number_formats_take_the_plain_path():
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        logits, targets = rows(6, 40, dtype=dtype)
        logits.requires_grad_()
        op.cross_entropy(logits, targets)[0].backward()
        assert logits.grad.dtype == dtype


@needs_compiler
def test_bits_do_not_depend_on_the_number_of_threads():
    logits, targets = rows(300, 2001)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            leaf = logits.clone().requires_grad_()
            loss, _ = op.cross_entropy(leaf, targets, z_weight=1e-4)
            loss.backward()
            found.append((loss.detach(), leaf.grad))
    finally:
        torch.set_num_threads(before)
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])


def through_fibers(library, suffix, logits, targets, seeds, order):
    """Forward and backward of the .cu file, its threads visited in a given order."""
    N, V = logits.shape
    library.shim_order(order)
    nll, lse, grad = torch.empty(N), torch.empty(N), torch.empty_like(logits)
    words = [op.pointer(logits), op.pointer(targets), *map(ctypes.c_int64, (N, V, -100))]
    code = getattr(library, f"cross_entropy_forward_{suffix}")(*words, op.pointer(nll), op.pointer(lse), None)
    given = map(op.pointer, (logits, targets, lse, *seeds))
    sizes = map(ctypes.c_int64, (N, V, -100))
    code |= getattr(library, f"cross_entropy_backward_{suffix}")(*given, *sizes, op.pointer(grad), None)
    assert code == 0
    return nll, lse, grad


@needs_compiler
@pytest.mark.parametrize(("suffix", "dtype"), [("f32", torch.float32), ("bf16", torch.bfloat16)])
@pytest.mark.parametrize("V", [1, 31, 256, 1000])
def test_the_cuda_source_run_by_fibers_equals_the_reference(suffix, dtype, V):
    library = build.load("cross_entropy", "host")
    logits, targets = rows(9, V, dtype=dtype)
    seeds = [torch.rand(9), torch.rand(9)]
    found = [through_fibers(library, suffix, logits, targets, seeds, order) for order in (0, 1, 7)]
    for other in found[1:]:  # a missing barrier would show as a dependence on the order
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
    nll, lse, grad = found[0]
    truth = op.reference(logits.double(), targets, -100)
    torch.testing.assert_close(nll.double(), truth[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(lse.double(), truth[1], rtol=1e-5, atol=1e-5)
    wide = op.reference_backward(logits.double(), targets, truth[1], *(s.double() for s in seeds), -100)
    tolerance = 1e-5 if dtype == torch.float32 else 2**-8  # half a unit in bfloat16's last place
    torch.testing.assert_close(grad.double(), wide, rtol=tolerance, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu(dtype):
    logits, targets = rows(513, 50432, dtype=dtype, device="cuda")
    seeds = [torch.rand(513, device="cuda") for _ in range(2)]
    truth = op.reference(logits.double(), targets, -100)
    ours = op.row_nll(logits, targets, -100)
    for a, b in zip(ours, truth, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)
    wide = op.reference_backward(logits.double(), targets, truth[1], *(s.double() for s in seeds), -100)
    grad = op.row_nll_backward(logits, targets, ours[1], *seeds, -100)
    torch.testing.assert_close(grad.double(), wide, rtol=1e-5 if dtype == torch.float32 else 2**-8, atol=1e-6)
