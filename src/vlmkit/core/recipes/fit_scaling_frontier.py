"""The compute-optimal frontier of a law, and what Approaches 1 and 2 see in its runs."""

from dataclasses import replace

import numpy as np

from vlmkit.core.configs.fit_scaling_plan import FitScalingFrontierConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.recipes.fit_scaling_law import Stored, read_law
from vlmkit.core.recipes.fit_scaling_table import deliver
from vlmkit.core.scaling import approaches
from vlmkit.core.scaling.account import parameters
from vlmkit.core.scaling.cautions import of_frontier
from vlmkit.core.scaling.frontier import Laws, exponent, frontier_row, laws_of, plain
from vlmkit.core.scaling.laws import with_numbers
from vlmkit.core.scaling.narrative import fitted

BEYOND = 100.0  # times the largest fitted compute


def run(config: FitScalingFrontierConfig) -> Result:
    """Say which run is optimal for each budget."""
    job = open_job(config)
    if job.stored:
        return replace(job.stored, shown=show(job.stored.values))
    stored = read_law(config.law, level=config.interval)
    evidence, laws = stored.evidence, laws_of(stored.evidence)
    budgets = config.compute or decades(stored)
    rows = [frontier_row(evidence, laws, flops) for flops in budgets]
    slope = exponent(evidence, laws, float(np.sqrt(budgets[0] * budgets[-1])))
    law = evidence.loss
    values: dict[str, object] = {
        "law": law.law.name,
        "formula": with_numbers(law.law, parameters(law)),
        "n": law.n,
        "dof": law.dof,
        "frontier": rows,
        "exponent": {"N": plain(slope.value), "low": plain(slope.low), "high": plain(slope.high)},
        "approaches": beside(stored, laws, float(budgets[-1])),
        "warnings": [*stored.cautions, *of_frontier(evidence, rows, stored.ranges)],
    }
    return deliver(job, config, values, rows, show(values))


def decades(stored: Stored) -> tuple[float, ...]:
    """Powers of ten from the compute of the smallest fitted run to far beyond the largest.

    Raises:
        InputError: the law has no runs.
    """
    if "C" not in stored.ranges:
        raise InputError("this law has no runs to take budgets from", where="--compute", fix="--compute 1e21,1e23")
    low, high = stored.ranges["C"]
    return tuple(10.0 ** np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high * BEYOND)) + 1))


def beside(stored: Stored, laws: Laws, flops: float) -> dict[str, object]:
    """What Approaches 1 and 2 say at one budget; None where the runs do not allow them."""
    law = stored.evidence.loss
    none: dict[str, object] = {"C": flops, "approach1": None, "approach2": None}
    if not law.n:
        return none
    x = law.problem.x + law.centre[:, None]
    names = [stored.names[at] for at in law.order] if stored.names else [str(at) for at in range(law.n)]
    level = stored.evidence.level
    return none | approaches.compare(laws, x[0], x[1], law.problem.y, names, flops=flops, level=level)


def show(values: dict[str, object]) -> dict[str, object]:
    """The frontier as a person reads it."""
    shown: dict[str, object] = {"law": values["formula"], "fitted to": fitted(values)}
    slope, rows, beside_ = values["exponent"], values["frontier"], values["approaches"]
    assert isinstance(slope, dict)
    assert isinstance(beside_, dict)
    low, high = slope["low"], slope["high"]
    if slope["N"] is not None:
        shown["N* grows as C to the"] = f"{slope['N']:.4f}" + (f" ({low:.4f} to {high:.4f})" if low is not None else "")
    assert isinstance(rows, list)
    shown["frontier"] = [{name: value for name, value in row.items() if name != "draws_without"} for row in rows]
    others = [{"": name, **row} for name, row in beside_.items() if isinstance(row, dict)]
    if others:
        shown[f"at {beside_['C']:.3g} FLOPs, by other approaches"] = others
    warnings = values["warnings"]
    assert isinstance(warnings, list)
    if warnings:
        shown["warnings"] = [{"warning": f"{number}. {text}"} for number, text in enumerate(warnings, start=1)]
    return shown
