"""The page of `vlmkit attack certify`."""

from dataclasses import replace
from functools import partial
from typing import Any

from vlmkit.core.attack.charts import Line, lines
from vlmkit.core.configs.attack_certify import AttackCertifyConfig
from vlmkit.core.io.html import number, percent, table
from vlmkit.core.io.job import Job, Result
from vlmkit.core.recipes.attack_study import chart, publish


def write_page(job: Job, config: AttackCertifyConfig, values: dict[str, Any]) -> None:
    """Write the chart and the page."""
    drawn = []
    for sigma in config.sigma:
        mine = [one for one in values["certified"] if one["sigma"] == sigma]
        ends = ([one[end] for one in mine] for end in ("radius", "accuracy", "low", "high"))
        drawn.append(Line(f"sigma {sigma:g}", *ends))
    picture = partial(
        lines, drawn, title="Images right for certain", across="radius in L2, pixels in [0, 1]", up="percent"
    )
    told = [
        [
            number(one["sigma"]), percent(one["smoothed_accuracy"]), percent(one["abstained"]),
            number(one["mean_radius"]), number(one["median_radius"]), number(one["largest_possible"]),
        ]
        for one in values["smoothed"]
    ]  # fmt: skip
    points = [
        [number(one["sigma"]), number(one["radius"]), percent(one["accuracy"]),
         f"{percent(one['low'])} to {percent(one['high'])}"]
        for one in values["certified"]
    ]  # fmt: skip
    head = ["sigma", "accuracy", "abstains", "mean radius, 0 where wrong", "median, where right", "largest possible"]
    lead = (
        f"Each of {values['n']:,} images was given {config.samples:,} votes under noise. A certificate holds for the "
        f"smoothed classifier against every change of that length in L2; one in {1 / config.alpha:,.0f} may be wrong. "
        f"The classifier itself, without noise, has {percent(values['clean_accuracy'])} right."
    )
    said = "Certified accuracy, with 95 percent intervals over the images."
    parts = [chart(job, "certified", picture, said), table(head, told, "The smoothed classifier")]
    parts.append(table(["sigma", "radius", "certified accuracy", "95 % interval"], points, "The curve"))
    publish(job, "What is certain of the classifier", lead, parts)


def shown(result: Result) -> Result:
    """The result as people read it."""
    values: dict[str, Any] = dict(result.values)
    curve = [
        {
            "sigma": one["sigma"], "radius": one["radius"], "certified accuracy": percent(one["accuracy"]),
            "95 % interval": f"{percent(one['low'])} to {percent(one['high'])}",
        }
        for one in values["certified"]
    ]  # fmt: skip
    smoothed = [
        one | {key: percent(one[key]) for key in ("smoothed_accuracy", "abstained")} for one in values["smoothed"]
    ]
    told: dict[str, object] = {
        "clean accuracy": percent(values["clean_accuracy"]),
        "certified": curve,
        "smoothed": smoothed,
    }
    return replace(result, shown=told | ({"page": str(result.artifact / "report.html")} if result.artifact else {}))
