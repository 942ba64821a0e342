"""The curve of robust accuracy as a picture, a panel a norm."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vlmkit.core.io.plots import PNG, SVG, saved

INK, WIDTH, HEIGHT = "#0b5cad", 6.0, 3.8  # inches a panel
NAMES = {"linf": "largest change of a pixel", "l2": "Euclidean length of the change", "l1": "sum of all changes"}


def pictures(curve: Sequence[Mapping[str, Any]], clean: float) -> tuple[str, bytes]:
    """The curve as SVG and as PNG; the same curve gives the same bytes."""
    text, pixels = saved(lambda: draw(curve, clean), SVG, PNG | {"dpi": 120})
    return text.decode(), pixels


def draw(curve: Sequence[Mapping[str, Any]], clean: float) -> Figure:
    """The figure."""
    norms = list(dict.fromkeys(one["norm"] for one in curve))
    figure = Figure(figsize=(WIDTH * len(norms), HEIGHT))
    figure.set_layout_engine("constrained")
    for number, norm in enumerate(norms):
        panel(figure.add_subplot(1, len(norms), number + 1), [one for one in curve if one["norm"] == norm], clean)
    return figure


def panel(axes: Axes, points: Sequence[Mapping[str, Any]], clean: float) -> None:
    """One norm: the accuracy from no change on, with its interval."""
    norm = points[0]["norm"]
    x = [one["eps"] for one in points]
    y = [100 * one["robust_accuracy"] for one in points]
    axes.plot([0, *x], [100 * clean, *y], color=INK, linewidth=1.2)
    spread = [[100 * (one["robust_accuracy"] - one["low"]) for one in points],
              [100 * (one["high"] - one["robust_accuracy"]) for one in points]]  # fmt: skip
    axes.errorbar(x, y, yerr=spread, color=INK, fmt="o", markersize=4, capsize=3, linewidth=1)
    axes.plot([0], [100 * clean], marker="o", color=INK, markersize=5, markerfacecolor="white")
    axes.set_ylim(-2, 102)
    axes.set_xlim(left=-0.03 * max(x))
    axes.set_title(f"Robust accuracy, {norm}")
    axes.set_xlabel(f"radius: {NAMES[norm]}")
    axes.set_ylabel("images right, percent")
    if norm == "linf" and max(x) <= 0.25:
        axes.secondary_xaxis("top", functions=(in_steps, of_steps)).set_xlabel("in 1/255")


def in_steps(eps: Any) -> Any:
    """Radii in steps of 8 bits."""
    return 255 * eps


def of_steps(steps: Any) -> Any:
    """Radii from steps of 8 bits."""
    return steps / 255
