"""The panels of a picture: the law among its runs, what it leaves over, which runs bear it, what it advises.

Limits come from the runs, for the intervals of a few-point fit know no bounds.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from vlmkit.core.scaling.evidence import Places
from vlmkit.core.scaling.frontier import frontier_row, laws_of
from vlmkit.core.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN
from vlmkit.core.scaling.picture import DATA, INK, ODD, SIZE, Colour, Group, Picture, along, foreseen, joined
from vlmkit.core.scaling.points import Points, no_points
from vlmkit.core.scaling.wald import Prediction

MOST_NAMED, MOST_RUNS, LONGEST = 6, 12, 26  # named points, runs with their influence, letters of a name
MANY, CROWD = 12, 1000  # more targets are drawn smaller; more runs too, and as pixels
CLIP, EXACT = 6.0, 1e-4  # residuals of more than CLIP times their third quartile stand on the edge; less is no residual
STEPS, BEYOND = 17, 100.0  # the frontier's points, and how many times the largest fitted compute it reaches
GRID, COARSE = 161, 5  # points of a curve; intervals are drawn from every fifth
COMPUTE = "training compute C (FLOPs)"
AXES = {"N": "parameters N", "D": "training tokens D", "C": COMPUTE, "ND": COMPUTE}


def law_panel(
    axes: Axes, groups: list[Group], runs: Points, filled: np.ndarray, x: np.ndarray, aims: np.ndarray,
    predicted: Prediction, grid: np.ndarray, curves: Sequence[tuple[Colour, np.ndarray, Prediction | None]],
) -> None:  # fmt: skip
    """Runs (N,) at places x (N,), what was predicted at places `aims`, curves over a grid with their intervals."""
    seen = np.append(runs.value, predicted.value)
    low, high = float(seen[np.isfinite(seen)].min()), float(seen[np.isfinite(seen)].max())
    room = (high - low) or 0.1 * abs(high) or 1.0
    least, most = (one[np.isfinite(one)] for one in (predicted.low, predicted.high))
    low, high = max(min([low, *least]), low - room / 3), min(max([high, *most]), high + room / 3)
    axes.set_ylim(low - 0.08 * room, high + 0.08 * room)  # intervals widen them by a third at most
    for shade, y, interval in curves:
        axes.plot(grid, y, color=shade, linewidth=1.2)
        if interval:
            band(axes, grid[::COARSE], interval, shade)
    scatter(axes, groups, runs, filled, x, runs.value)
    crosses(axes, aims, predicted)


def loss_panel(axes: Axes, picture: Picture, groups: list[Group]) -> None:
    """Loss against compute (or the one variable of the law), by multiplier."""
    evidence, law, aims = picture.evidence, picture.evidence.loss, along(picture, picture.targets)
    runs, shades, banded = joined(picture.fitted, picture.held_out), [group.shade for group in groups], [0]
    x, filled, grid = along(picture, runs), np.arange(len(runs.names)) < law.n, stretched(along(picture, runs), aims)
    if len(law.law.over) == 1:
        shades, places = [INK], [Places(grid, grid, grid)]
    else:
        root = np.sqrt(grid / FLOPS_PER_PARAMETER_AND_TOKEN)
        places = [Places.of(root / np.sqrt(group.middle), root * np.sqrt(group.middle)) for group in groups]
        asked = picture.targets if picture.targets.names else picture.held_out
        counts = [int(group.holds(asked).sum()) for group in groups]
        # more than two intervals would hide one another: the multipliers with the most targets have theirs
        banded = [at for at in np.argsort(counts, kind="stable")[::-1][:2] if counts[at]] or [len(groups) // 2]
    curves = []
    for at, (shade, place) in enumerate(zip(shades, places, strict=True)):
        coarse = Places(place.size[::COARSE], place.tokens[::COARSE], place.flops[::COARSE])
        curves.append((shade, law.at(place.variables(law.law)), evidence.predict(coarse) if at in banded else None))
    law_panel(axes, groups, runs, filled, x, aims, evidence.predict(picture.targets.places), grid, curves)
    unit = " (nats a token)" if picture.label.startswith("loss") else ""
    frame(axes, grid, AXES["".join(law.law.over)], clean(picture.label, 40) + unit, f"Loss: {law.law.name} law")


def downstream_panel(axes: Axes, picture: Picture, groups: list[Group]) -> None:
    """Downstream error against the loss, where runs that were not fitted stand at their predicted loss; or against
    compute, where the downstream law goes past the loss."""
    evidence, law, aims = picture.evidence, picture.evidence.error, picture.error_targets or no_points()
    assert law is not None
    known, asked = picture.errors or no_points(), picture.errors_held_out or no_points()
    runs, predicted, found = joined(known, asked), evidence.predict_error(aims.places), None
    if evidence.direct:
        x, at, name = runs.flops, aims.flops, COMPUTE
        grid = stretched(x, at)
        unknown = np.full_like(grid[::COARSE], np.nan)
        curve, found = law.at(np.log(grid)[None]), evidence.predict_error(Places(unknown, unknown, grid[::COARSE]))
    else:
        x, at = np.append(picture.losses.value, foreseen(picture, asked)), foreseen(picture, aims)
        name = picture.label + ("; predicted for hollow runs and crosses" if len(x) + len(at) > law.n else "")
        grid = stretched(x, at, log=False)
        curve = law.at(grid[None])
    law_panel(axes, groups, runs, np.arange(len(x)) < law.n, x, at, predicted, grid, [(INK, curve, found)])
    title = f"Downstream error: {law.law.name} law, {law.n} runs fitted"
    frame(axes, grid, name, picture.error_label, title, log=evidence.direct)


def residual_panel(axes: Axes, picture: Picture, groups: list[Group]) -> None:
    """Residuals in percent; what lies too far out stands on the edge as a triangle, outliers have a ring and a name."""
    runs = joined(picture.fitted, picture.held_out)
    x, r, every = along(picture, runs), 100 * (runs.value / foreseen(picture, runs) - 1), np.arange(len(runs.names))
    known, filled, law = r[np.isfinite(r)], every < picture.evidence.loss.n, picture.evidence.loss.law
    far = CLIP * float(np.percentile([*np.abs(known)[np.abs(known) > EXACT]] or [EXACT], 75))
    low, high = max(-far, min(0.0, known.min())), min(far, max(0.0, known.max()))
    room = max(0.08 * (high - low), EXACT)
    shown, grid = np.clip(r, low - room / 2, high + room / 2), stretched(x)
    axes.set_ylim(low - room, high + room)
    axes.axhline(0.0, color=INK, linewidth=0.9)
    frame(axes, grid, AXES["".join(law.over)], "residual: true / predicted loss − 1 (%)", "Residuals")
    for marker, rows in (("o", (r >= low) & (r <= high)), ("^", r > high), ("v", r < low)):
        scatter(axes, groups, runs[rows], filled[rows], x[rows], shown[rows], marker=marker)
    odd, beyond = np.isin(every, np.flatnonzero(picture.weight.outlier)), (r < low) | (r > high)
    axes.plot(x[odd], shown[odd], "o", markersize=10, markerfacecolor="none", markeredgecolor=ODD, zorder=4)
    order = np.argsort(-np.abs(r), kind="stable")
    named = order[(odd | beyond)[order]][:MOST_NAMED]
    named = named[np.argsort(r[named], kind="stable")]
    texts = [clean(runs.names[at]) + (f" ({r[at]:+.3g} %)" if beyond[at] else "") for at in named]
    name_points(axes, np.stack([x, shown], axis=1), named, texts, odd)


def name_points(axes: Axes, points: np.ndarray, named: np.ndarray, texts: list[str], odd: np.ndarray) -> None:
    """Names beside some of the points (N, 2), which rise: kept apart, and each on the emptier side of its point."""
    shares = (axes.transScale + axes.transLimits).transform(points)
    steps = 0.055 * np.arange(len(named))
    heights = np.minimum(np.maximum.accumulate(shares[named, 1] - steps) + steps, 0.97 - steps[::-1])
    for at, text, height in zip(named, texts, heights, strict=True):
        width = 0.0115 * len(text)  # of a panel
        middles = [shares[at, 0] + side * (0.03 + width / 2) for side in (1, -1)]
        outside = [abs(middle - 0.5) > (1 - width) / 2 for middle in middles]
        hidden = [(np.abs(shares - (middle, height)) < (width / 2, 0.03)).all(1).sum() for middle in middles]
        side = 1 if (outside[0], hidden[0]) <= (outside[1], hidden[1]) else -1
        axes.annotate(
            text, points[at], (shares[at, 0] + 0.03 * side, height), textcoords="axes fraction", va="center",
            ha="left" if side > 0 else "right", fontsize=8, color=ODD if odd[at] else INK, parse_math=False, zorder=5,
            bbox={"color": "white", "alpha": 0.6, "linewidth": 0, "pad": 0.5},
            arrowprops={"arrowstyle": "-", "color": "0.5", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4},
        )  # fmt: skip


def influence_panel(axes: Axes, picture: Picture) -> None:
    """The runs without which a parameter moves the most, and that parameter."""
    weight, names = picture.weight, list(picture.weight.shifts)
    largest, which = weight.largest
    order = [at for at in np.argsort(-largest, kind="stable")[:MOST_RUNS] if largest[at] >= 0][::-1]  # NaN comes last
    reach = float(largest[order].max()) or 1.0
    for place, at in enumerate(order):
        shade, name = ODD if weight.outlier[at] else SIZE, names[which[at]]
        axes.plot([0, largest[at]], [place, place], "o-", markevery=[1], color=shade, linewidth=1.6)
        text = f"{name} {'falls' if weight.shifts[name][at] < 0 else 'rises'}"
        axes.text(largest[at] + 0.02 * reach, place, text, va="center", fontsize=8, parse_math=False)
    axes.set_yticks(range(len(order)), [clean(picture.fitted.names[at]) for at in order], parse_math=False, fontsize=8)
    axes.grid(visible=False, axis="y")
    name = "largest shift of a parameter without the run (standard errors)"
    frame(axes, np.array([0, 1.2 * reach]), name, "", "Influence: how the fit moves without a run", log=False)


def frontier(picture: Picture) -> dict[str, np.ndarray]:
    """The compute-optimal N and D with their intervals, as far as they exist; NaN where there is no interval."""
    evidence, flops = picture.evidence, along(picture, picture.fitted)
    if evidence.loss.law.over != ("N", "D"):
        return {}
    laws, asked = laws_of(evidence), np.geomspace(flops.min(), BEYOND * flops.max(), STEPS)
    rows = [frontier_row(evidence, laws, float(one)) for one in asked]
    rows = [row for row in rows if row["N"] is not None and row["D"] is not None]
    return {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]} if len(rows) > 1 else {}


def frontier_panel(axes: Axes, picture: Picture, advice: dict[str, np.ndarray]) -> None:
    """How to split compute between parameters and tokens, according to the law."""
    runs, seen, flops = picture.fitted, along(picture, picture.fitted), advice["C"]
    slope = float(np.polyfit(np.log(flops), np.log(advice["N"]), 1)[0])
    every = np.concatenate([advice["N"], advice["D"], runs.size, runs.tokens])
    axes.set_yscale("log")
    axes.set_ylim(every.min() / 3, every.max() * 15)  # room for the legend
    for name, shade, own, power in (("N", SIZE, runs.size, slope), ("D", DATA, runs.tokens, 1 - slope)):
        axes.plot(seen, own, "o", color=shade, markersize=3.5, alpha=0.3, markeredgewidth=0)
        band(axes, flops, Prediction(advice[name], advice[f"{name}_low"], advice[f"{name}_high"]), shade)
        axes.plot(flops, advice[name], color=shade, linewidth=1.6, label=f"{AXES[name]}, about as C^{power:.2f}")
    axes.axvline(seen.max(), color=INK, linewidth=0.9, linestyle=":", label="largest fitted compute")
    frame(axes, flops[[0, -1]] * (0.8, 1), COMPUTE, "parameters N, tokens D", "Compute-optimal split (faint: runs)")
    axes.legend(loc="upper left")


def band(axes: Axes, x: np.ndarray, found: Prediction, shade: Colour) -> None:
    """The interval along a curve, where there is one, as far as the panel reaches."""
    low, high = (np.clip(one, *axes.get_ylim()) for one in (found.low, found.high))
    axes.fill_between(x, low, high, color=shade, alpha=0.16, linewidth=0)


def crosses(axes: Axes, x: np.ndarray, predicted: Prediction) -> None:
    """What was predicted, as crosses with intervals; those that leave the panel end on its edge in an arrow."""
    bottom, top = axes.get_ylim()
    low, high = np.maximum(predicted.low, bottom), np.minimum(predicted.high, top)
    axes.vlines(x, low, high, color=INK, linewidth=1.0, zorder=4)
    for ends, marker, beyond in ((low, "v", predicted.low < bottom), (high, "^", predicted.high > top)):
        axes.plot(x[~beyond], ends[~beyond], "_", color=INK, markersize=8, zorder=4)
        axes.plot(x[beyond], ends[beyond], marker, color=INK, markersize=5, zorder=4, clip_on=False, in_layout=False)
    axes.plot(x, predicted.value, "x", color=INK, markersize=7 if x.size <= MANY else 4, markeredgewidth=1.6, zorder=5)


def scatter(
    axes: Axes, groups: list[Group], runs: Points, filled: np.ndarray, x: np.ndarray, y: np.ndarray, marker: str = "o"
) -> None:
    """Runs (N,) in the colours of their groups, filled or hollow."""
    for group in groups:
        rows = group.holds(runs)
        faces = [group.shade if one else "white" for one in filled[rows]]
        dots = axes.scatter(x[rows], y[rows], 26, marker=marker, edgecolors=group.shade, facecolors=faces, zorder=3)
        dots.set(rasterized=len(x) > CROWD, sizes=[26 if len(x) <= CROWD else 8])


def frame(axes: Axes, grid: np.ndarray, x: str, y: str, title: str, *, log: bool = True) -> None:
    """The horizontal axis from end to end of a grid, the names of both axes, the title."""
    axes.set_xscale("log" if log else "linear")
    axes.set_xlim(grid[0], grid[-1])
    axes.set_xlabel(clean(x, 80), parse_math=False)
    axes.set_ylabel(clean(y, 50), parse_math=False)
    axes.set_title(title)


def stretched(*x: np.ndarray, log: bool = True) -> np.ndarray:
    """A grid over all numbers that can be drawn, and a little beyond."""
    every = np.concatenate(x)
    every = every[np.isfinite(every) & ((every > 0) | (not log))]
    low, high = float(every.min()), float(every.max())
    margin = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    return np.geomspace(low / 1.5, high * 1.5, GRID) if log else np.linspace(low - margin, high + margin, GRID)


def clean(text: str, longest: int = LONGEST) -> str:
    """A user's words, fit to be drawn: no control characters, not too long."""
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[1 - longest // 2 :]}"
