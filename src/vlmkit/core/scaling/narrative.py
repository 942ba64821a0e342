"""What a person reads: a fit with its formula and intervals, predictions beside the truth, a plan, a comparison."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = dict[str, object]
Values = Mapping[str, Any]  # the JSON that `study.findings` makes


def tell(values: Values, *, words: bool = False) -> dict[str, object]:
    """The report of a fit; with `words`, what the law means."""
    shown: dict[str, object] = {"law": values["formula"], "fitted to": fitted(values), "certificate": certified(values)}
    if words:
        shown["in words"] = values["explanation"]
    along = values.get("downstream")
    if along:
        shown |= {"downstream": along["formula"], "downstream fitted to": fitted(along)}
    shown["intervals"] = method(values)
    shown["parameters"] = [*parameters(values), *(parameters(along) if along else [])]
    if values["checks"]["rollout"]:
        shown["each size predicted from the smaller ones"] = [tested(row) for row in values["checks"]["rollout"]]
    return shown | outlook(values)


def outlook(values: Values) -> dict[str, object]:
    """The part of a report that predictions alone have too: targets, predictions, warnings."""
    shown: dict[str, object] = {}
    if values.get("targets"):
        shown["targets"] = [compared(row, "") for row in values["targets"]]
        if "downstream_predicted" in values["targets"][0]:
            shown["targets downstream"] = [compared(row, "downstream_") for row in values["targets"]]
    if values["predictions"]:
        shown["predictions"] = values["predictions"]
    return shown | warned(values)


def warned(values: Values) -> dict[str, object]:
    """The warnings, numbered; nothing without any."""
    texts = [{"warning": f"{number}. {text}"} for number, text in enumerate(values["warnings"], start=1)]
    return {"warnings": texts} if texts else {}


def method(values: Values) -> str:
    """How the intervals were made."""
    how, draws = values["uncertainty"], values["bootstrap"]
    if how == "bootstrap":
        return f"{draws['draws']:,} bootstrap draws ({draws['kind']})"
    return {"wald": "Wald, Student's t", "profile": "profile likelihood"}[how]


def tested(row: Values) -> Row:
    """One step of a rollout."""
    return {
        "size": row["size"],
        "runs": row["n"],
        "fitted to": row["n_fit"],
        "mean error": f"{100 * row['mean_error']:.2f} %",
        "worst": f"{100 * row['worst_error']:.2f} %",
        "inside": f"{row['inside']} of {row['n']}",
    }


def fitted(values: Values) -> str:
    """How many runs, and how many of them are left to judge the error."""
    dof = values["dof"]
    if not values["n"]:
        return "no runs: its parameters were given"
    return f"{values['n']} runs ({dof} degree{'s' * (dof != 1)} of freedom)"


def certified(values: Values) -> str:
    """What the scan says about the optimum."""
    found = values["certificate"]
    if not found["scan_points"]:
        return "none: the parameters were given"
    minima = "the only minimum" if found["local_minima"] == 1 else f"the best of {found['local_minima']} minima"
    return f"{minima} on a scan of {found['scan_points']:,} exponents"


def parameters(values: Values) -> list[Row]:
    """A row for each parameter and derived value, with its interval."""
    rows: list[Row] = []
    for name, value in {**values["params"], **values["derived"]}.items():
        if not isinstance(value, Mapping):
            low, high = values["intervals"].get(name) or (None, None)
            rows.append({"": name, "value": value, "low": low, "high": high})
    return rows


def compared(row: Values, prefix: str) -> Row:
    """A target beside its truth."""
    keys: Sequence[str] = ("true", "predicted", "low", "high")
    error = row[f"{prefix}relative_error"]
    return {
        "name": row["name"],
        **{key: row[f"{prefix}{key}"] for key in keys},
        "error": None if error is None else f"{100 * error:+.4f} %",
        "inside": {True: "inside", False: "OUTSIDE", None: None}[row[f"{prefix}inside"]],
    }


def advice(values: Values) -> dict[str, object]:
    """A plan: the run, what training alone would choose, what it saves and what being wrong costs; or the next runs."""
    if "next" in values:
        place, found = values["predict"], values["next"]
        asked = f"N = {place['N']:.4g}, D = {place['D']:.4g}"
        return {
            "to narrow the prediction at": asked,
            "half-width of its interval": f"{found['half_width']:.4g} ({found['unit']})",
            "after any one more run": f"{found['half_width_any_run']:.4g}",
            "runs": [{**row, "narrower_by": f"{100 * row['narrower_by']:.1f} %"} for row in found["runs"]],
        }
    runs = [("plan", values["plan"]), ("training alone", values["training_only"])]
    shown: dict[str, object] = {
        "runs": [
            {"": name, **{key: value for key, value in row.items() if not key.endswith(("_low", "_high"))}}
            for name, row in runs
            if row
        ]
    }
    ends = [name.removesuffix("_low") for name in values["plan"] if name.endswith("_low")]
    bounds = [{"": name, **{end: values["plan"][f"{name}_{end}"] for end in ("low", "high")}} for name in ends]
    bounds = [{**row, "high": "open"} if row["low"] is not None and row["high"] is None else row for row in bounds]
    if any(row["low"] is not None for row in bounds):
        shown["intervals"] = bounds
    if values["saving"] and values["saving"]["fraction"] is not None:
        saved = values["saving"]
        reached = values["plan"]["loss"] - values["training_only"]["loss"]
        same_loss = abs(reached) < 1e-9 * values["plan"]["loss"]
        shown["saves"] = (
            f"{saved['cost']:.3g} {values['unit']} ({100 * saved['fraction']:.2f} %) at the same loss"
            if same_loss
            else f"{saved['loss']:.4g} of loss at the same cost"
        )
    shown |= risks(values["risk"])
    return shown


def risks(risk: Values) -> dict[str, object]:
    """What being wrong costs."""
    if risk["at_N_low"] is None:
        return {}
    unit = "{:.4g}" if risk["of"] == "loss" else "{:.3g}"
    told: dict[str, object] = {
        f"{risk['of']} at the ends of the interval of N": ", ".join(
            "–" if risk[key] is None else unit.format(risk[key]) for key in ("at_N_low", "at_N_high")
        )
    }
    if risk["regret_median"] is not None:
        median, high = risk["regret_median"], risk["regret_high"]
        text = f"{median:.2g} in the median, {high:.2g} at worst" if risk["of"] == "loss" else (
            f"{100 * median:.1f} % in the median, {100 * high:.1f} % at worst"
        )  # fmt: skip
        told[f"{risk['of']} given away if a draw is the truth"] = text
    return told


def verdict(values: Values) -> dict[str, object]:
    """Laws beside one another."""
    rows = [
        {
            "law": row["law"],
            "parameters": row["parameters"],
            "AICc over the best": row["aicc_difference"],
            "leave-one-out rms": row["loo_rms"],
            "worse by (standard errors)": row["loo_worse_by"],
            "next size, mean error": None if row["rollout_mean_error"] is None else f"{row['rollout_mean_error']:.3%}",
            "largest size": None if row["rollout_last_error"] is None else f"{row['rollout_last_error']:.3%}",
            "on a bound": row["bounds"],
        }
        for row in values["laws"]
    ]
    how = f"{values['loss']} of the {'logarithm' if values['space'] == 'log' else 'loss itself'}"
    return {"fitted to": f"{values['n']} runs, {how}", "laws, the best by leave-one-out first": rows}


def picked(values: Values) -> dict[str, object]:
    """Tasks, the predictable ones first, the best above chance leading."""
    rows = sorted(values["tasks"], key=lambda row: (not row["chosen"], row["chance"] - row["accuracy"]))
    shown = [
        {"task": row["name"], "chance": row["chance"], "best accuracy": row["accuracy"], "of": row["model"],
         "predictable": row["chosen"], **errors_told(row)}
        for row in rows
    ]  # fmt: skip
    found: dict[str, object] = {"predictable": f"{len(values['chosen'])} of {len(rows)} tasks", "tasks": shown}
    if values.get("mean_of_chosen"):
        found["their mean"] = [errors_told(values["mean_of_chosen"])]
    if values["without_baseline"]:
        found["without a chance accuracy"] = ", ".join(values["without_baseline"])
    return found


def errors_told(row: Values) -> Row:
    """How far predictions of a task's error were off, where there were targets."""
    if "mean_error" not in row:
        return {}
    told: Row = {
        name: None if row[key] is None else f"{100 * row[key]:.2f} %"
        for name, key in (("mean miss", "mean_error"), ("worst miss", "worst_error"))
    }
    return told | {"inside": row["inside"], "note": row["note"]}


def explain(values: Values) -> str:
    """What a law means, in words."""
    params = {name: value for name, value in values["params"].items() if not isinstance(value, Mapping)}
    if any(value is None for value in (*params.values(), *values["derived"].values())):
        return f"{values['formula']}: some of its numbers are not finite, so there is nothing to say in words."
    parts = [MEANINGS[values["law"]](params | values["derived"])]
    if values["dof"] <= 0:
        parts.append("It passes through all its runs, so nothing is known of its error.")
    else:
        parts.append(f"It was fitted to {values['n']} runs, which leaves {values['dof']} to judge its error by.")
    along = values.get("downstream")
    if along and all(value is not None for value in along["params"].values()):
        parts.append(MEANINGS[along["law"]](along["params"] | along["derived"]))
    return " ".join(parts)


def halved(exponent: float) -> str:
    """By what factor a variable has to grow so that its term halves."""
    return f"{2 ** (1 / exponent):,.3g}" if exponent > 0.02 else "beyond-all-means"


def gadre_words(p: Values) -> str:
    """Gadre's law."""
    return (
        f"However long and large, no run gets below a loss of {p['E']:.4g}. At a fixed number of tokens a parameter, "
        f"what is left above that falls as compute to the power -{p['eta']:.4g}: it halves with every "
        f"{halved(p['eta'])}-fold of compute. For a given compute, {p['M_star']:.3g} tokens a parameter are best."
    )


def chinchilla_words(p: Values) -> str:
    """Chinchilla's law, with one exponent or two."""
    beta = p.get("beta", p["alpha"])
    share = p.get("a_opt", 0.5)
    return (
        f"However long and large, no run gets below a loss of {p['E']:.4g}. The part that is lost to size halves with "
        f"every {halved(p['alpha'])}-fold of parameters, the part that is lost to data with every {halved(beta)}-fold "
        f"of tokens. With more compute C, the best size grows as C^{share:.3f} and the tokens as C^{1 - share:.3f}."
    )


def power_words(p: Values) -> str:
    """A power with an offset."""
    return f"The loss falls towards {p['E']:.4g}; what is left above that halves with every {halved(p['alpha'])}-fold."


def kaplan_words(p: Values) -> str:
    """Kaplan's law."""
    return (
        f"With unlimited data the loss falls as N^-{p['alpha_N']:.4g}, with unlimited parameters as "
        f"D^-{p['alpha_D']:.4g}; there is no floor below which it cannot fall."
    )


def exponential_words(p: Values) -> str:
    """Errors against the loss."""
    return (
        f"The downstream error is {p['eps']:.3g} for models that know nothing; the gap below that grows "
        f"{np_e(p['gamma'])}-fold for every 0.1 nats that the loss falls."
    )


def np_e(gamma: float) -> str:
    """exp(0.1 gamma), short."""
    return f"{math.exp(min(0.1 * gamma, 700)):.3g}"


def sigmoid_words(p: Values) -> str:
    """Accuracy against the loss, between two levels."""
    return (
        f"Accuracy rises from {p['floor']:.3g} at high losses to {p['b']:.3g} at low ones, half-way at a loss of "
        f"{p['L_0']:.4g}."
    )


def log_accuracy_words(p: Values) -> str:
    """Accuracy against compute."""
    return (
        f"The negative logarithm of accuracy falls as compute to the power -{p['alpha']:.4g}: it halves with every "
        f"{halved(p['alpha'])}-fold of compute."
    )


MEANINGS: dict[str, Callable[[Values], str]] = {
    "gadre": gadre_words,
    "chinchilla": chinchilla_words,
    "chinchilla-tied": chinchilla_words,
    "power": power_words,
    "kaplan": kaplan_words,
    "exponential": exponential_words,
    "sigmoid": sigmoid_words,
    "log-accuracy": log_accuracy_words,
}
