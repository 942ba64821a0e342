"""Runs of known laws, fits to them, and rows of the published tables, for the tests of scaling laws."""

import numpy as np

from vlmkit.core.scaling.fitting import fit
from vlmkit.core.scaling.laws import GADRE, variables

LEVEL = 0.95
TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


def places(law, size, tokens, *, loss=None, flops=None):
    """The variables of a law."""
    flops = 6.0 * size * tokens if flops is None else flops
    return variables(law, size=size, tokens=tokens, flops=flops, loss=size if loss is None else loss)


def grid(noise, generator, *, points=24, truth=None):
    """Runs of Chinchilla's law at four multipliers: sizes, tokens, losses."""
    p = truth or TRUTH
    size = np.tile(np.geomspace(1e7, 1e9, points // 4), 4)
    tokens = size * np.repeat([5.0, 20.0, 80.0, 320.0], points // 4)
    loss = p["E"] + p["A"] * size ** -p["alpha"] + p["B"] * tokens ** -p["beta"]
    return size, tokens, loss * np.exp(noise * generator.standard_normal(size.size))


def fit_to(law, size, tokens, y, *, loss="lsq", delta=1e-3, space="raw", cluster=None):
    """A loss law fitted to runs."""
    return fit(law, places(law, size, tokens), y, loss=loss, delta=delta, space=space, cluster=cluster)


def five(table, dataset):
    """Table 2 of Gadre et al.: the runs of the loss law."""
    N, M = table["N"], table["M"]
    return (table["dataset"] == dataset) & (((M == 20) & (N < 1e9)) | ((M == 320) & (N < 2e7)))


def six(table, dataset):
    """Those of the downstream law."""
    return five(table, dataset) | ((table["dataset"] == dataset) & (table["M"] == 20) & (table["N"] < 2e9))


def fit_rows(table, rows, *, law=GADRE, column="loss_c4_val", loss="lsq", delta=1e-3, space="raw"):
    """A loss law fitted to some rows of a table."""
    return fit_to(law, table["N"][rows], table["D"][rows], table[column][rows], loss=loss, delta=delta, space=space)


def row(table, dataset, size, multiplier):
    """The one run of a size and a multiplier."""
    found = (table["dataset"] == dataset) & (np.abs(table["N"] / size - 1) < 0.05) & (table["M"] == multiplier)
    assert found.sum() == 1
    return found
