"""The picture of a fit: loss against compute, a colour for each number of tokens a parameter, the law's curves, the
interval, held-out runs hollow, targets with what was predicted for them; beside it, where there is one, the downstream
error against the loss.
"""

import io
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vlmkit.core.scaling.fitting import Fit, Prediction, chain, predict
from vlmkit.core.scaling.laws import variables
from vlmkit.core.scaling.points import Points

STYLE = {
    "svg.hashsalt": "vlmkit",  # names inside the file are the same every time
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
SAME = 0.08  # multipliers that differ by less, relatively, share a colour
MOST_CURVES = 8


@dataclass(frozen=True)
class Picture:
    """What is drawn: the fit and its points, the points that were not fitted, and likewise for the downstream law."""

    loss: Fit
    fitted: Points
    held_out: Points
    targets: Points
    label: str
    level: float
    downstream: Fit | None = None
    losses: Points | None = None  # the runs that the downstream law was fitted to, with their losses
    errors: Points | None = None  # the same runs with their errors
    errors_held_out: Points | None = None
    error_targets: Points | None = None
    error_label: str = ""


def svg(picture: Picture) -> str:
    """The picture as SVG; the same fit gives the same text."""
    buffer = io.BytesIO()
    with rc_context(STYLE):  # type: ignore[arg-type]
        draw(picture).savefig(buffer, format="svg", metadata={"Date": None, "Creator": "vlmkit"})
    return buffer.getvalue().decode()


def png(picture: Picture, *, dpi: int = 120) -> bytes:
    """The picture as PNG."""
    buffer = io.BytesIO()
    with rc_context(STYLE):  # type: ignore[arg-type]
        draw(picture).savefig(buffer, format="png", dpi=dpi, metadata={"Software": "vlmkit"})
    return buffer.getvalue()


def draw(picture: Picture) -> Figure:
    """The picture with one or two panels."""
    panels = 1 if picture.downstream is None else 2
    figure = Figure(figsize=(7.4 * panels, 5.0), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    groups = grouped(picture)
    loss_panel(axes[0], picture, groups)
    if picture.downstream is not None:
        downstream_panel(axes[1], picture, groups)
    return figure


def grouped(picture: Picture) -> list[tuple[float, float, tuple[float, float, float, float]]]:
    """Multipliers in groups: the ends of each, and its colour."""
    every = np.sort(np.concatenate([picture.fitted.multiplier, picture.held_out.multiplier]))
    starts = np.flatnonzero(np.diff(np.log(every), prepend=-np.inf) > SAME)
    if len(starts) > 2 * MOST_CURVES:  # hardly two runs alike: cut the range evenly
        starts = np.linspace(0, len(every), MOST_CURVES, endpoint=False).astype(int)
    ends = [*starts[1:], len(every)]
    shades = colormaps["viridis"](np.linspace(0.0, 0.9, len(starts)))
    return [
        (float(every[start]), float(every[end - 1]), tuple(shade))
        for start, end, shade in zip(starts, ends, shades, strict=True)
    ]


def loss_panel(
    axes: Axes, picture: Picture, groups: list[tuple[float, float, tuple[float, float, float, float]]]
) -> None:
    """Loss against compute."""
    every = np.concatenate([picture.fitted.flops, picture.held_out.flops])
    flops = np.geomspace(every.min() / 1.5, every.max() * 1.5, 120)
    seen = np.concatenate([picture.fitted.value, picture.held_out.value])
    banded = banded_groups(picture, groups)
    for number, (low, high, shade) in enumerate(groups):
        middle = float(np.sqrt(low * high))
        x = variables(np.sqrt(flops / (6 * middle)), np.sqrt(flops * middle / 6))
        curve = predict(picture.loss, x, level=picture.level)
        axes.plot(flops, curve.value, color=shade, linewidth=1.3, label=f"{middle:.3g}")
        if number in banded:
            axes.fill_between(flops, curve.low, curve.high, color=shade, alpha=0.15, linewidth=0)
        for runs, hollow in ((picture.fitted, False), (picture.held_out, True)):
            rows = (runs.multiplier >= low) & (runs.multiplier <= high)
            dots(axes, runs.flops[rows], runs.value[rows], shade, hollow=hollow)
    bars(axes, picture.targets.flops, predict_at(picture, picture.targets))
    axes.set_xscale("log")
    axes.set_xlabel("training compute C (FLOPs)")
    axes.set_ylabel(f"{picture.label} (nats a token)" if picture.label.startswith("loss") else picture.label)
    seen = seen[np.isfinite(seen)]
    margin = 0.12 * float(np.ptp(seen))
    axes.set_ylim(float(seen.min()) - margin, float(seen.max()) + margin)
    axes.legend(title="tokens a parameter", fontsize=8, title_fontsize=8)
    title = f"{picture.loss.law.name}: {picture.loss.n} runs fitted"
    if picture.held_out.size.size:
        title += f", {picture.held_out.size.size} held out (hollow)"
    if picture.targets.size.size:
        title += ", × predicted"
    axes.set_title(f"{title}; band: {picture.level:.0%} interval", fontsize=10)


def banded_groups(picture: Picture, groups: list[tuple[float, float, tuple[float, float, float, float]]]) -> set[int]:
    """The groups whose interval is drawn: those of the targets, two at most; more would hide one another."""
    asked = picture.targets if picture.targets.size.size else picture.held_out
    counts = [int(((asked.multiplier >= low) & (asked.multiplier <= high)).sum()) for low, high, _ in groups]
    wanted = [number for number in np.argsort(counts, kind="stable")[::-1][:2] if counts[number]]
    return {int(number) for number in wanted} or {len(groups) // 2}


def downstream_panel(
    axes: Axes, picture: Picture, groups: list[tuple[float, float, tuple[float, float, float, float]]]
) -> None:
    """Downstream error against loss; held-out runs stand at their predicted loss, targets with the chained interval."""
    assert picture.downstream
    assert picture.losses
    assert picture.errors
    assert picture.errors_held_out
    known, asked, losses = picture.errors, picture.errors_held_out, picture.losses.value
    foreseen = predict_at(picture, asked).value
    ends = np.concatenate([losses, foreseen])
    grid = np.linspace(ends.min() - 0.05 * np.ptp(ends), ends.max() + 0.05 * np.ptp(ends), 120)
    axes.plot(grid, predict(picture.downstream, grid[None], level=picture.level).value, color="0.3", linewidth=1.3)
    for low, high, shade in groups:
        rows = (known.multiplier >= low) & (known.multiplier <= high)
        dots(axes, losses[rows], known.value[rows], shade, hollow=False)
        rows = (asked.multiplier >= low) & (asked.multiplier <= high)
        dots(axes, foreseen[rows], asked.value[rows], shade, hollow=True)
    if picture.error_targets:
        aims = picture.error_targets
        chained = chain(picture.loss, picture.downstream, variables(aims.size, aims.tokens), level=picture.level)
        bars(axes, predict_at(picture, aims).value, chained)
    seen = np.concatenate([known.value, asked.value])
    seen = seen[np.isfinite(seen)]
    axes.set_ylim(float(seen.min() - 0.3 * np.ptp(seen)), float(seen.max() + 0.3 * np.ptp(seen)))
    axes.set_xlabel(f"{picture.label} (held-out runs: predicted)")
    axes.set_ylabel(picture.error_label)
    axes.set_title(f"downstream: {picture.downstream.n} runs fitted", fontsize=10)


def predict_at(picture: Picture, runs: Points) -> Prediction:
    """The law's predictions for runs."""
    return predict(picture.loss, variables(runs.size, runs.tokens), level=picture.level)


def bars(axes: Axes, x: np.ndarray, predicted: Prediction) -> None:
    """What was predicted for the targets, as crosses with their intervals."""
    if np.isfinite(predicted.low).all() and x.size:
        reach = np.stack([predicted.value - predicted.low, predicted.high - predicted.value])
        axes.errorbar(
            x, predicted.value, yerr=reach, fmt="x", color="0.15", markersize=7, elinewidth=1, capsize=4, zorder=4
        )
    else:
        axes.plot(x, predicted.value, "x", color="0.15", markersize=7, zorder=4)


def dots(axes: Axes, x: np.ndarray, y: np.ndarray, shade: tuple[float, float, float, float], *, hollow: bool) -> None:
    """Runs: filled where they were fitted, hollow where they were not."""
    axes.plot(
        x,
        y,
        linestyle="none",
        marker="o",
        markersize=6,
        markeredgecolor=shade,
        markerfacecolor="white" if hollow else shade,
    )
