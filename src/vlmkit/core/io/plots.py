"""Figures of matplotlib as files: the same figure gives the same bytes, whatever this machine's matplotlibrc says."""

import io
import warnings
from collections.abc import Callable

import numpy as np
from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.figure import Figure

STYLE = {
    "svg.hashsalt": "vlmkit", "svg.fonttype": "none",  # names inside the file are the same every time
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"], "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "legend.frameon": False,
}  # fmt: skip
SVG: dict[str, object] = {"format": "svg", "metadata": {"Date": None, "Creator": "vlmkit"}}
PNG: dict[str, object] = {"format": "png", "metadata": {"Software": "vlmkit"}}


def saved(draw: Callable[[], Figure], *ways: dict[str, object]) -> list[bytes]:
    """A figure in formats of matplotlib (SVG, PNG with `dpi`), from one drawing."""
    found = []
    with rc_context(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names in any script; a browser has the fonts
        rcdefaults()
        rcParams.update(STYLE)  # type: ignore[arg-type]
        figure = draw()
        figure.draw_without_rendering()  # lays the panels out, once for all formats
        figure.set_layout_engine("none")
        for way in ways:
            buffer = io.BytesIO()
            figure.savefig(buffer, **way)  # type: ignore[arg-type]
            found.append(buffer.getvalue())
    return found
