"""What to train, from a law that was fitted before."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vlmkit.core.configs.fit_scaling_plan import FitScalingPlanConfig
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.recipes.fit_scaling_law import Stored, places, read_law
from vlmkit.core.recipes.fit_scaling_table import deliver
from vlmkit.core.scaling.account import Row, parameters
from vlmkit.core.scaling.cautions import extrapolation, of_draws, of_range
from vlmkit.core.scaling.evidence import Places
from vlmkit.core.scaling.frontier import laws_of
from vlmkit.core.scaling.laws import with_numbers
from vlmkit.core.scaling.narrative import advice, warned
from vlmkit.core.scaling.next_run import Limits, next_runs
from vlmkit.core.scaling.plan import Terms, loss_for_error, plan, quality


def run(config: FitScalingPlanConfig) -> Result:
    """Plan a run."""
    job = open_job(config)
    if job.stored:
        return replace(job.stored, shown=show(job.stored.values))
    stored = read_law(config.law, level=config.interval)
    law = stored.evidence.loss
    values: dict[str, object] = {"law": law.law.name, "formula": with_numbers(law.law, parameters(law)), "n": law.n}
    values |= {"dof": law.dof, **(next_values(config, stored) if config.next else plan_values(config, stored))}
    return deliver(job, config, values, rows_of(values), show(values))


def plan_values(config: FitScalingPlanConfig, stored: Stored) -> dict[str, object]:
    """The best run under the terms."""
    evidence = stored.evidence
    laws = laws_of(evidence)
    loss = None
    if config.error is not None:
        loss = loss_for_error(evidence, config.error)
    elif config.loss is not None or config.like:
        size, tokens = (*config.like, None, None)[:2]
        loss = quality(laws, loss=config.loss, size=size, tokens=tokens)
    price = config.price_training or 1.0
    terms = Terms(
        budget=config.budget if config.compute is None else config.compute * price,
        loss=loss,
        served=config.inference,
        training_price=price,
        serving_price=config.price_inference or price,
        size=config.params,
        tokens=config.tokens,
        max_size=config.max_params,
        max_tokens=config.max_tokens,
    )
    found = plan(evidence, terms)
    chosen = found["plan"]
    assert isinstance(chosen, dict)
    decades = extrapolation(stored.ranges, Places.of(np.array([chosen["N"]]), np.array([chosen["D"]])))
    notes = [*stored.cautions, *of_range(decades), *of_draws(evidence, found["draws_without"])]
    return found | {"unit": "FLOPs" if config.price_training is None else "cost", "extrapolation": decades,
                    "warnings": notes}  # fmt: skip


def next_values(config: FitScalingPlanConfig, stored: Stored) -> dict[str, object]:
    """The runs that would tell most."""
    flops = config.compute or config.budget
    assert flops is not None
    price = config.price_training or 1.0
    limits = Limits(flops if config.compute else flops / price, config.max_params, config.max_tokens)
    asked = places(config.predict)
    laws_of(stored.evidence)
    found = next_runs(stored.evidence.loss, asked, limits, level=config.interval)
    place = {"N": float(asked.size[0]), "D": float(asked.tokens[0])}
    return {"predict": place, "next": found, "warnings": list(stored.cautions)}


def rows_of(values: dict[str, object]) -> Sequence[Row]:
    """The table that --out writes."""
    following = values.get("next")
    if isinstance(following, dict):
        runs: Sequence[Row] = following["runs"]
        return runs
    return [{"run": name, **row} for name in ("plan", "training_only") if isinstance(row := values[name], dict)]


def show(values: dict[str, object]) -> dict[str, object]:
    """The plan as a person reads it."""
    return {"law": values["formula"], **advice(values), **warned(values)}
