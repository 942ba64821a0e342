"""Scaling laws: vlmkit's fits beside SciPy's, the authors' starts and the package `chinchilla`, in the same run.

    python benchmarks/scaling.py [--data ../shared/data] [--full] [--chinchilla-python PATH]

CPU seconds of one thread; ours is run again between pieces of the peer's work, and its median taken. Peers run a sample
of their work, and the time is scaled to all of it where the output says so; --full runs all (about five minutes). The
package `chinchilla` brings requirements of its own, so it may live in another Python (see ABSENT).
"""

import argparse
import inspect
import json
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import pyarrow.parquet as pq
from scipy.optimize import OptimizeResult, curve_fit, minimize
from threadpoolctl import threadpool_limits

from vlmkit.core.scaling import bootstrap
from vlmkit.core.scaling.fitting import Fit, fit
from vlmkit.core.scaling.laws import CHINCHILLA, GADRE

DELTA = 1e-3  # Besiroglu et al. 2024
DRAWS = 4000
ROUNDS = 7  # pieces of the peer's work, with ours between them
NAMES = ("A", "B", "E", "alpha", "beta")
PUBLISHED_ERRORS = (124.52, 1293.28, 0.02566, 0.01540, 0.02060)  # Besiroglu et al. 2024
HOFFMANN = np.array([6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083])  # where Epoch's bootstraps begin
REACHED = 1e-4  # a start reached the optimum if its objective lies above it by less than this, relatively
TABLE_2 = ((10569312, 20), (78914048, 20), (153677376, 20), (411616256, 20), (10569312, 320))  # Gadre et al.: N, M
README_LEVELS = 5  # values a parameter in the grid of the package's README
ABSENT = """  it is not installed in {python}; to have it measured:
    python -m venv /tmp/peer && /tmp/peer/bin/pip install chinchilla==0.2.0
    python benchmarks/scaling.py --chinchilla-python /tmp/peer/bin/python"""

Job, Ours, Theirs = TypeVar("Job"), TypeVar("Ours"), TypeVar("Theirs")


@dataclass(frozen=True)
class Race(Generic[Ours, Theirs]):
    """CPU seconds and results of ours (one run) and of the peer (all of its jobs)."""

    ours_s: float
    peer_s: float
    ours: Ours
    peer: list[Theirs]


def race(ours: Callable[[], Ours], peer: Callable[[Job], Theirs], jobs: Sequence[Job]) -> Race[Ours, Theirs]:
    """Run the peer's jobs in pieces, and ours after each piece."""
    ours()  # warm
    peer(jobs[0])
    spent, total, found = [], 0.0, []
    for piece in np.array_split(np.arange(len(jobs)), ROUNDS):
        begun = time.process_time()
        found += [peer(jobs[at]) for at in piece]
        total += time.process_time() - begun
        begun = time.process_time()
        result = ours()
        spent.append(time.process_time() - begun)
    return Race(statistics.median(spent), total, result, found)


def huber(p: np.ndarray, log_N: np.ndarray, log_D: np.ndarray, log_L: np.ndarray) -> float:
    """Epoch's objective: the sum of Huber's loss of log-sum-exp at p = (ln A, ln B, ln E, alpha, beta)."""
    r = np.log(np.exp(p[0] - p[3] * log_N) + np.exp(p[1] - p[4] * log_D) + np.exp(p[2])) - log_L
    size = np.abs(r)
    return float(np.where(size <= DELTA, 0.5 * r * r, DELTA * (size - 0.5 * DELTA)).sum())


def huber_gradient(p: np.ndarray, log_N: np.ndarray, log_D: np.ndarray, log_L: np.ndarray) -> tuple[float, np.ndarray]:
    """The same with its gradient, derived by hand: Epoch's code has it from autograd, which is slower."""
    first, second, constant = np.exp(p[0] - p[3] * log_N), np.exp(p[1] - p[4] * log_D), np.exp(p[2])
    value = first + second + constant
    r = np.log(value) - log_L
    size = np.abs(r)
    force = np.clip(r, -DELTA, DELTA) / value
    pulled, pushed = force * first, force * second
    gradient = [pulled.sum(), pushed.sum(), constant * force.sum(), -pulled @ log_N, -pushed @ log_D]
    return float(np.where(size <= DELTA, 0.5 * r * r, DELTA * (size - 0.5 * DELTA)).sum()), np.array(gradient)


def epoch_starts() -> np.ndarray:
    """The 4500 starts (G, 5) of Epoch's grid."""
    halves, fives = np.arange(0, 2.5, 0.5), np.arange(0, 30, 5)
    grid = product(fives, fives, np.arange(-1, 1.5, 0.5), halves, halves)
    return np.array(list(grid), np.float64)


def one_fit(x: np.ndarray, y: np.ndarray, *, full: bool) -> Fit:
    """Our certified fit against L-BFGS-B with finite differences from Epoch's grid."""
    starts, log_L = epoch_starts(), np.log(y)
    count = len(starts) if full else len(starts) // 20
    jobs = list(starts[np.random.default_rng(0).permutation(len(starts))[:count]])
    done = race(
        lambda: fit(CHINCHILLA, x, y, loss="huber", delta=DELTA, space="log"),
        lambda start: float(minimize(huber, start, args=(*x, log_L), method="L-BFGS-B").fun),
        jobs,
    )
    reached, best = np.array(done.peer), done.ours.objective
    everything = done.peer_s * len(starts) / count
    seen = done.ours.certificate
    print(f"one fit: {y.size} points, law chinchilla, Huber {DELTA:g} on log loss")
    print(f"  vlmkit    {done.ours_s:8.4f} s  objective {best:.10e}  local minima on the scan: {seen.scan_minima}")
    print(
        f"  L-BFGS-B  {everything:8.2f} s  objective {reached.min():.10e}  {share(count, len(starts), 'starts')}; "
        f"{np.mean(reached < best * (1 + REACHED)):.1%} of them reach the optimum (within {REACHED:g})\n"
        f"  ratio {everything / done.ours_s:.0f}; highest objective of a start: {reached.max():.4e}"
    )
    return done.ours


def share(count: int, whole: int, what: str) -> str:
    """How much of the peer's work was run."""
    return f"all {whole} {what}" if count == whole else f"{count} of {whole} {what}, time scaled"


def bootstraps(x: np.ndarray, y: np.ndarray, fitted: Fit, *, full: bool) -> None:
    """Our batch against BFGS for one resample after another, both on Epoch's resamples."""
    stream, n, log_L, p = np.random.RandomState(42), y.size, np.log(y), fitted.values
    rows = [stream.choice(n, n) for _ in range(DRAWS)]
    weights = np.stack([np.bincount(one, minlength=n) for one in rows])[:, fitted.order].astype(np.float64)
    optimum = np.array([np.log(p["A"]), np.log(p["B"]), np.log(p["E"]), p["alpha"], p["beta"]])

    def ours() -> bootstrap.Draws:
        return bootstrap.refit(fitted, "pairs", weights=weights)

    def peer(start: np.ndarray, gtol: float) -> Callable[[np.ndarray], OptimizeResult]:
        options = {"jac": True, "method": "BFGS", "options": {"gtol": gtol}}
        return lambda at: minimize(huber_gradient, start, args=(*x[:, at], log_L[at]), **options)

    jobs = rows if full else rows[: DRAWS // 20]
    peers = {
        "BFGS, from Hoffmann's": peer(HOFFMANN, 1e-5),  # as Epoch's code has it; 1e-5 is SciPy's default
        "BFGS, from the optimum": peer(optimum, 1e-5),
        "the same, gtol 1e-8": peer(optimum, 1e-8),
    }
    races = {name: race(ours, one, jobs) for name, one in peers.items()}
    ours_s, draws = statistics.median(done.ours_s for done in races.values()), ours()
    found = draws.objectives[: len(jobs)]
    print(f"{DRAWS} bootstraps of pairs, on the resamples of numpy's legacy seed 42: mean objectives")
    print(f"  {'vlmkit':24}{ours_s:8.3f} s  {found.mean():.9e}  of all {DRAWS}: {draws.objectives.mean():.9e}")
    for name, done in races.items():
        theirs, everything = np.array([one.fun for one in done.peer]), done.peer_s * DRAWS / len(jobs)
        print(
            f"  {name:24}{everything:8.3f} s  {theirs.mean():.9e}  {share(len(jobs), DRAWS, 'resamples')}; ratio "
            f"{everything / ours_s:.1f}; above ours by 1e-6 in {np.mean(theirs > found * (1 + 1e-6)):.1%}, "
            f"below in {np.mean(found > theirs * (1 + 1e-6)):.1%}"
        )
    values = bootstrap.named(fitted, draws)
    samples = {"vlmkit": np.stack([values[name] for name in NAMES], axis=1)}
    for name, done in races.items():
        samples[f"{name} ({len(jobs)})"] = np.array([[*np.exp(one.x[:3]), *one.x[3:]] for one in done.peer])
    errors_table({name: sample.std(0, ddof=1) for name, sample in samples.items()})


def errors_table(errors: dict[str, np.ndarray]) -> None:
    """Standard errors beside the published ones."""
    print(f"  standard errors{'':17}" + "".join(f"{name:>11}" for name in NAMES))
    for name, row in (errors | {"published": np.array(PUBLISHED_ERRORS)}).items():
        print(f"    {name:30}" + "".join(f"{value:11.5g}" for value in row))


def package_fit(rows: list[list[float]], levels: int, delta: float | None) -> dict[str, float] | None:
    """What the package `chinchilla` finds for rows of C, N, D and loss, and its CPU seconds; None where it is absent.

    The grid is that of its README, thinned to `levels` values a parameter; the loss is its default, in which a point
    below the curve counts ten times one above, or Huber's of the logarithms. This runs in the package's own Python.
    """
    import functools
    import importlib.util
    import tempfile
    import time

    if importlib.util.find_spec("chinchilla") is None:
        return None
    import numpy as np
    from chinchilla import Chinchilla
    from chinchilla._metrics import log_huber

    ends = {"E": (1, 2), "a": (1, 10), "b": (1, 10), "alpha": (0.1, 0.7), "beta": (0.1, 0.7)}
    chosen = {} if delta is None else {"loss_fn": functools.partial(log_huber, delta=delta)}
    with tempfile.TemporaryDirectory() as folder:
        lines = ["C,N,D,loss", *(",".join(map(repr, row)) for row in rows)]
        with open(f"{folder}/df.csv", "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        grid = {name: np.linspace(*pair, levels) for name, pair in ends.items()}
        law = Chinchilla(folder, param_grid=grid, log_level=50, **chosen)
        law.visualizer.optim = lambda *_, **__: None  # the fit is timed, not its picture
        begun = time.process_time()
        law.fit(parallel=False)
        return {"spent_s": time.process_time() - begun, **law.params}


def package(python: Path, x: np.ndarray, y: np.ndarray, fitted: Fit, *, full: bool) -> None:
    """The package `chinchilla` in its own Python, with its default loss and with ours."""
    levels = README_LEVELS if full else 3
    every, count = README_LEVELS**5, levels**5
    N, D = np.exp(x)
    rows = np.stack([6 * N * D, N, D, y], axis=1).tolist()
    source = (
        f"{inspect.getsource(package_fit)}\nimport json, sys\nprint(json.dumps(package_fit(*json.load(sys.stdin))))"
    )
    print(f"the package chinchilla 0.2.0: BFGS from the grid of its README, {share(count, every, 'starts')}")
    ours, lines = [], {}
    for name, delta in (("its default loss, asymmetric", None), (f"its log_huber, {DELTA:g}", DELTA)):
        words = json.dumps([rows, levels, delta])
        said = subprocess.run([python, "-c", source], input=words, capture_output=True, text=True, check=True).stdout
        lines[name] = json.loads(said.splitlines()[-1])
        if lines[name] is None:
            print(ABSENT.format(python=python))
            return
        ours += [time_of(lambda: fit(CHINCHILLA, x, y, loss="huber", delta=DELTA, space="log")) for _ in range(ROUNDS)]
    ours_s = statistics.median(ours)
    print(f"  {'vlmkit':30}{ours_s:8.4f} s  objective {fitted.objective:.6e}  {numbers(fitted.values)}")
    for name, found in lines.items():
        p = np.array([*np.log([found["A"], found["B"], found["E"]]), found["alpha"], found["beta"]])
        everything = found["spent_s"] * every / count
        print(
            f"  {name:30}{everything:8.1f} s  objective {huber(p, *x, np.log(y)):.6e}  {numbers(found)}  ratio "
            f"{everything / ours_s:.0f}"
        )
    print("  (all judged by our objective, which is not that of its default loss)")


def numbers(found: Mapping[str, float]) -> str:
    """The parameters in a line."""
    return " ".join(f"{name} {found[name]:.5g}" for name in NAMES)


def time_of(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def gadre(data: Path) -> None:
    """Five points of RedPajama (Gadre et al. 2024, Table 2): ours against curve_fit from the authors' 128 starts."""
    table = pq.read_table(data / "scaling" / "gadre_c4_rpj.parquet").to_pandas()
    table = table[table.dataset == "rpj"]
    chosen = [table[(size == table.N) & np.isclose(table.M, ratio)].iloc[0] for size, ratio in TABLE_2]
    N, M, y = np.array([[row.N, row.M, row.loss_c4_val] for row in chosen]).T
    x = np.log([N, N * M])

    def law(place: np.ndarray, a: float, b: float, power: float, E: float) -> np.ndarray:
        return a * place[0] ** power + b * 6 ** (power / 2) * (place[1] * place[0]) ** power + E

    def peer(start: tuple[float, ...]) -> float:
        found = curve_fit(law, (N, M), y, p0=start, maxfev=10_000)[0]
        return float(((law((N, M), *found) - y) ** 2).sum())

    firsts = (1e2, 3e2, 1e3, 3e3)
    jobs = list(product(firsts, firsts, (-0.1, -0.3), (0.0, 1.0, 2.0, 10.0)))
    done = race(lambda: fit(GADRE, x, y, loss="lsq", delta=DELTA, space="raw"), peer, jobs)
    reached, best = np.array(done.peer), done.ours.rss
    print("five points of RedPajama, law gadre, least squares: sum of squares")
    print(f"  vlmkit     {done.ours_s:7.4f} s  {best:.10e}")
    print(
        f"  curve_fit  {done.peer_s:7.4f} s  {reached.min():.10e}  all {len(jobs)} starts; "
        f"{np.mean(reached < best * (1 + REACHED)):.1%} reach the optimum; ratio {done.peer_s / done.ours_s:.0f}"
    )


def command(data: Path) -> None:
    """The whole command, imports and figures and all: wall and CPU seconds."""
    table = data / "chinchilla" / "chinchilla_245.parquet"
    words = ["fit-scaling", str(table), "--law", "chinchilla", "--where", "not excluded_by_epoch"]
    print("the whole command, median of 3")
    for extra in ([], ["--bootstrap", str(DRAWS)]):
        spent = []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as folder:
                wall, cpu = time.perf_counter(), children_s()
                whole = [sys.executable, "-m", "vlmkit", *words, *extra, "--out", f"{folder}/law"]
                subprocess.run(whole, check=True, stdout=subprocess.DEVNULL)
                spent.append((time.perf_counter() - wall, children_s() - cpu))
        wall, cpu = (statistics.median(one) for one in zip(*spent, strict=True))
        print(f"  {wall:5.2f} s wall, {cpu:5.2f} s CPU  vlmkit {shlex.join([*words, *extra])} --out law")


def children_s() -> float:
    """CPU seconds of the processes that this one has run."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--full", action="store_true", help="run all of the peers' work, nothing scaled")
    parser.add_argument("--chinchilla-python", type=Path, default=Path(sys.executable), metavar="PATH")
    options = parser.parse_args()
    table = pq.read_table(options.data / "chinchilla" / "chinchilla_245.parquet").to_pandas()
    table = table[~table.excluded_by_epoch]
    x, y = np.log(table[["N", "D"]].to_numpy().T), table.loss.to_numpy()
    with threadpool_limits(1), np.errstate(all="ignore"):  # bad starts overflow
        fitted = one_fit(x, y, full=options.full)
        bootstraps(x, y, fitted, full=options.full)
        package(options.chinchilla_python, x, y, fitted, full=options.full)
        gadre(options.data)
    command(options.data)


if __name__ == "__main__":
    main()
