"""Charts of one panel: lines with intervals, a matrix of shares, points with names."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 6.5, 3.8  # inches
CELL, EDGE = 0.75, 1.9  # inches of a matrix's cell, and of what is around
LONGEST = 18  # letters of a name
COLOURS = ("#0b5cad", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0e7490", "#9f1239", "#4b5563")


@dataclass(frozen=True)
class Line:
    """A line through points, with the ends of their intervals where there are any."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def lines(
    some: Sequence[Line], *, title: str, across: str, up: str, percents: bool = True, log: bool = False
) -> Figure:
    """Lines in one panel; shares are drawn in percent."""
    figure, axes = panel(title, across, up)
    times = 100 if percents else 1
    for number, line in enumerate(some):
        colour = COLOURS[number % len(COLOURS)]
        y = times * np.array(line.y, dtype=float)
        few = len(y) <= 20
        axes.plot(
            line.x, y, color=colour, label=short(line.name), linewidth=1.3, marker="o" if few else None, markersize=4
        )
        if line.low is not None and line.high is not None:
            low, high = (times * np.array(ends, dtype=float) for ends in (line.low, line.high))
            axes.fill_between(line.x, low, high, color=colour, alpha=0.12, linewidth=0)
    if all(float(x).is_integer() for line in some for x in line.x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if percents:
        axes.set_ylim(-2, 102)
    if log:
        axes.set_yscale("log")
    if len(some) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def matrix(shares: np.ndarray, names: Sequence[str], *, title: str, across: str, up: str) -> Figure:
    """Shares (k, k) in percent, a row a source."""
    count = len(names)
    figure = Figure(figsize=(CELL * count + EDGE, CELL * count + EDGE))
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    axes.grid(False)
    axes.imshow(100 * shares, cmap="viridis", vmin=0, vmax=100)
    for row, column in np.ndindex(shares.shape):
        shade = "black" if shares[row, column] > 0.6 else "white"
        axes.text(column, row, f"{100 * shares[row, column]:.1f}", ha="center", va="center", color=shade)
    labels = [short(name) for name in names]
    axes.set_xticks(range(count), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), labels)
    axes.set_title(title)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure


def dots(names: Sequence[str], x: Sequence[float], y: Sequence[float], *, title: str, across: str, up: str) -> Figure:
    """Points with their names; shares in percent."""
    figure, axes = panel(title, across, up)
    for number, name in enumerate(names):
        axes.plot(100 * x[number], 100 * y[number], "o", color=COLOURS[number % len(COLOURS)], label=short(name))
    axes.set_ylim(-2, 102)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def plane(energy: np.ndarray, *, title: str, cutoff: int) -> Figure:
    """Energy (Y, X) of coefficients on a logarithmic scale, with the lines at which bands are cut."""
    figure = Figure(figsize=(HEIGHT + 1.2, HEIGHT))
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    axes.grid(False)
    floor = max(float(energy.max()), 1e-30) * 1e-6
    shown = axes.imshow(np.log10(np.maximum(energy, floor)), cmap=colormaps["magma"], interpolation="nearest")
    axes.axhline(cutoff - 0.5, color="white", linewidth=1, linestyle=":")
    axes.axvline(cutoff - 0.5, color="white", linewidth=1, linestyle=":")
    figure.colorbar(shown, ax=axes, label="mean energy, power of ten")
    axes.set_title(title)
    axes.set_xlabel("frequency across, v")
    axes.set_ylabel("frequency down, u")
    return figure


def panel(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    """An empty panel."""
    figure = Figure(figsize=(WIDTH, HEIGHT))
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure, axes


def short(name: str) -> str:
    """The end of a name that is too long; matplotlib reads no formulas in it."""
    cut = name if len(name) <= LONGEST else "…" + name[1 - LONGEST :]
    return cut.replace("$", r"\$")
