"""The picture of a fit as a file: panels two a row below one key, from one drawing in every format.

A colour stands for a number of tokens a parameter in every panel; filled runs were fitted, hollow ones held out, and
crosses are predictions.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from vlmkit.core.io.plots import PNG, SVG, saved
from vlmkit.core.scaling.laws import with_numbers
from vlmkit.core.scaling.narrative import fitted
from vlmkit.core.scaling.panels import (
    downstream_panel,
    frontier,
    frontier_panel,
    influence_panel,
    loss_panel,
    residual_panel,
)
from vlmkit.core.scaling.picture import INK, ODD, Group, Picture, grouped

WIDTH, STRIP, HEIGHT = 13.0, 0.8, 4.3  # inches: the figure, the key on top, a row of panels


def images(picture: Picture, *, dpi: int = 120) -> tuple[str, bytes]:
    """The picture as SVG and as PNG (of so many dots an inch), from one drawing; the same fit gives the same bytes."""
    text, pixels = saved(lambda: draw(picture), SVG, PNG | {"dpi": dpi})
    return text.decode(), pixels


def svg(picture: Picture) -> str:
    """The picture as SVG."""
    return saved(lambda: draw(picture), SVG)[0].decode()


def png(picture: Picture, *, dpi: int = 120) -> bytes:
    """The picture as PNG, of so many dots an inch."""
    return saved(lambda: draw(picture), PNG | {"dpi": dpi})[0]


def draw(picture: Picture) -> Figure:
    """The picture: a key on top, panels two a row; of an odd number the first one is wide."""
    groups = grouped(picture)
    panels = list(panels_of(picture, groups))
    odd = len(panels) % 2
    rows = (len(panels) + odd) // 2
    height = STRIP + HEIGHT * rows
    below = 1 - STRIP / height
    figure = Figure(figsize=(WIDTH, height))
    figure.set_layout_engine("constrained", rect=(0, 0, 1, below), w_pad=0.1, h_pad=0.1)
    grid = figure.add_gridspec(rows, 2)
    for number, panel in enumerate(panels):
        row, column = divmod(number + (odd if number else 0), 2)
        panel(figure.add_subplot(grid[row, :] if odd and not number else grid[row, column]))
    draw_key(figure, picture, groups, np.linspace(below, 1, 4)[:0:-1] - 0.15 / height)
    return figure


def panels_of(picture: Picture, groups: list[Group]) -> Iterator[Callable[[Axes], None]]:
    """The panels that have something to show."""
    yield partial(loss_panel, picture=picture, groups=groups)
    if picture.evidence.error is not None and picture.errors is not None:
        yield partial(downstream_panel, picture=picture, groups=groups)
    if picture.evidence.loss.dof > 0 or picture.held_out.names:
        yield partial(residual_panel, picture=picture, groups=groups)
    if np.isfinite(picture.weight.largest[0]).any():
        yield partial(influence_panel, picture=picture)
    if advice := frontier(picture):
        yield partial(frontier_panel, picture=picture, advice=advice)


def draw_key(figure: Figure, picture: Picture, groups: list[Group], heights: np.ndarray) -> None:
    """The formula with its numbers, and what colours and marks mean, in three lines at heights (3,)."""
    law, mark = picture.evidence.loss, partial(Line2D, [], [], marker="o", color="0.35", linestyle="none")
    width = 1.5 * (len(law.law.over) > 1)  # the one curve of other laws has no colour of its own
    colours = [mark(color=one.shade, label=one.label, linestyle="-", linewidth=width) for one in groups]
    wanted: list[tuple[object, Artist]] = [
        (True, mark(label="fitted")),
        (picture.held_out.names, mark(label="held out", markerfacecolor="white")),
        (picture.targets.names, mark(label="predicted", marker="x", color=INK)),
        (picture.weight.outlier.any(), mark(label="outlier", color=ODD, markersize=10, markerfacecolor="none")),
        (law.dof > 0, Patch(color="0.85", label=f"{100 * picture.evidence.level:g} % interval of a new run")),
    ]
    keys: list[list[Artist]] = [[*colours], [artist for shown, artist in wanted if shown]]
    text = f"{with_numbers(law.law, law.values)}, fitted to {fitted({'n': law.n, 'dof': law.dof})}"
    figure.text(0.01, heights[0], text, fontsize=12, va="center", parse_math=False)
    for y, title, marks in zip(heights[1:], ("tokens a parameter", "runs"), keys, strict=True):
        figure.text(0.01, y, title, va="center", color="0.35")
        figure.legend(handles=marks, ncols=len(marks), borderpad=0, loc="center left", bbox_to_anchor=(0.12, y))
