"""The fused cross-entropy with z-loss beside torch's own functions: forward and backward, time and error.

    python benchmarks/cross_entropy.py [--device cuda]

CPU: one thread, CPU seconds, median of repeats taken in turn. CUDA: events, median. The error is the largest absolute
difference of the gradient to float64.
"""

import argparse
import statistics
import time

import torch

from vlmkit.cuda.cross_entropy import cross_entropy

Z = 1e-4
SHAPES = {"cpu": [(2048, 512), (2048, 4096), (512, 50432)], "cuda": [(8192, 4096), (8192, 50432), (4096, 128256)]}
REPEATS = 15


def fused(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Ours."""
    return cross_entropy(logits, targets, z_weight=Z)[0]


def plain(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """What a trainer in torch writes."""
    return torch.nn.functional.cross_entropy(logits, targets) + Z * torch.logsumexp(logits, 1).square().mean()


def without_z(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """torch's cross-entropy alone: less work than ours does."""
    return torch.nn.functional.cross_entropy(logits, targets)


def seconds(function, logits: torch.Tensor, targets: torch.Tensor) -> float:
    """One forward and backward."""
    logits.grad = None
    if not logits.is_cuda:
        begun = time.process_time()
        function(logits, targets).backward()
        return time.process_time() - begun
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    function(logits, targets).backward()
    stop.record()
    torch.cuda.synchronize()
    return start.elapsed_time(stop) / 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    device = parser.parse_args().device
    torch.set_num_threads(1)
    print(
        f"{'rows × classes':>16} {'fused':>10} {'torch + z':>10} {'ratio':>10} {'torch':>10} {'ratio':>10}"
        "  error fused, torch"
    )
    for N, V in SHAPES[device]:
        logits = (torch.randn(N, V, device=device) * 3).requires_grad_()
        targets = torch.randint(0, V, (N,), device=device)
        functions = (fused, plain, without_z)
        times: dict[object, list[float]] = {function: [] for function in functions}
        for repeat in range(REPEATS + 2):
            for function in functions:
                spent = seconds(function, logits, targets)
                if repeat >= 2:
                    times[function].append(spent)
        ours, peer, bare = (statistics.median(times[function]) for function in functions)
        wide = logits.detach().double().requires_grad_()
        plain(wide, targets).backward()
        errors = []
        for function in (fused, plain):
            logits.grad = None
            function(logits, targets).backward()
            errors.append((logits.grad.double() - wide.grad).abs().max().item())
        shape = f"{N} × {V}"
        cells = (f"{ours * 1e3:.2f} ms", f"{peer * 1e3:.2f} ms", f"{peer / ours:.2f}")
        cells += (f"{bare * 1e3:.2f} ms", f"{bare / ours:.2f}")
        print(f"{shape:>16} " + " ".join(f"{cell:>10}" for cell in cells) + f"  {errors[0]:.1e}, {errors[1]:.1e}")


if __name__ == "__main__":
    main()
