"""Reading a law for the actions that ask one: a folder, a law.json, parameters alone, or a published name."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmkit.core.configs.fit_scaling import sizes
from vlmkit.core.errors import InputError, nearest
from vlmkit.core.io.artifacts import find
from vlmkit.core.io.tables import read_tables
from vlmkit.core.scaling import published
from vlmkit.core.scaling.bootstrap import Draws
from vlmkit.core.scaling.cautions import Ranges, of_freedom, of_signs
from vlmkit.core.scaling.evidence import Evidence, Places
from vlmkit.core.scaling.fitting import Fit, from_json
from vlmkit.core.scaling.laws import DOWNSTREAM_LAWS, LAWS, law_of


@dataclass(frozen=True)
class Stored:
    """A law with its evidence, and the ranges of its runs."""

    evidence: Evidence
    ranges: Ranges
    names: tuple[str, ...] = ()  # of the runs
    cautions: tuple[str, ...] = ()  # of the fit, whatever it is asked


def read_law(word: str, *, level: float) -> Stored:
    """The law that a word names.

    Raises:
        InputError: nothing of that name, or a file that is not a law.
    """
    path = Path(word)
    if not path.exists():
        if word not in published.PUBLISHED:
            raise InputError(
                f"{word} does not exist, and no published law has that name",
                where="LAW",
                fix=f"a folder that `vlmkit fit-scaling` wrote; {nearest(word, sorted(published.PUBLISHED))}",
            )
        return alone(published.named(word), level)
    file = path if path.is_file() else find(path, "law") / "law.json"
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if "fit" not in stored:
            return alone(bare(stored), level, bare_error(stored))
        names = tuple(str(name) for name in stored["names"])
        if len(names) != len(stored["fit"]["points"]["y"]):
            raise ValueError(f"{len(names)} names for {len(stored['fit']['points']['y'])} points")
        told = tuple(str(text) for text in stored["cautions"])
        return Stored(evidence(file, stored, level), ranges(stored), names, told)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError) as fault:
        raise InputError(
            f"not a law: {fault}", where=str(file), fix="fit it again with `vlmkit fit-scaling`"
        ) from fault


def alone(law: Fit, level: float, error: Fit | None = None) -> Stored:
    """A law without its runs, perhaps with a downstream one."""
    return Stored(Evidence(law, error, level=level), {}, cautions=(*of_freedom(law, level=level), *of_signs(law)))


def places(words: tuple[str, ...]) -> Places:
    """Where `--predict` asks."""
    size, tokens, flops = np.array(sizes(words), np.float64).reshape(-1, 3).T
    return Places(size, tokens, flops)


def bare(stored: dict[str, object]) -> Fit:
    """A law from its name and its parameters alone: {"law": "chinchilla", "params": {"E": 1.69, …}}; a power law with
    the `variable` that it is a law of, C where there is none."""
    law, params, over = str(stored["law"]), stored["params"], stored.get("variable", "C")
    if law not in LAWS or not isinstance(params, dict):
        raise InputError(f"unknown law '{law}'", where="law", fix=nearest(law, sorted(LAWS)))
    numbers = {name: float(value) for name, value in params.items() if isinstance(value, int | float)}
    if over not in ("N", "D", "C"):
        raise InputError(f"unknown variable '{over}'", where="variable", fix="N, D or C")
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError("a parameter is not a finite number")
    return published.published(law_of(law, over), numbers)


def bare_error(stored: dict[str, object]) -> Fit | None:
    """The downstream law whose parameters stand under `downstream` in the parameters, as fits print them."""
    params = stored["params"]
    numbers = params.get("downstream") if isinstance(params, dict) else None
    if numbers is None:
        return None
    for law in DOWNSTREAM_LAWS.values():
        if set(law.parameters) <= set(numbers):
            return published.published(law, {name: float(numbers[name]) for name in law.parameters})
    known = "; ".join(", ".join(law.parameters) for law in DOWNSTREAM_LAWS.values())
    raise InputError("these are the parameters of no downstream law", where="params.downstream", fix=known)


def evidence(file: Path, stored: dict[str, object], level: float) -> Evidence:
    """The fits of a law.json with the draws beside it."""
    fits = [from_json(one) for one in (stored["fit"], stored["downstream_fit"]) if one is not None]  # type: ignore[arg-type]
    table = read_tables(file.with_name("draws.parquet")) if file.with_name("draws.parquet").is_file() else None
    draws = []
    for number, (fitted, kind) in enumerate(zip(fits, stored["draws"], strict=True)):  # type: ignore[call-overload]
        columns = [f"fit{number}_{at}" for at in range(len(fitted.solution))]
        none = np.zeros((0, len(columns)))
        solutions = np.stack([table[name].to_numpy() for name in columns], axis=1) if table else none
        draws.append(Draws(**{**kind, "solutions": solutions, "objectives": np.zeros(len(solutions))}))
    how = stored["uncertainty"] if table is not None else "wald"
    return Evidence(fits[0], fits[1] if len(fits) > 1 else None, tuple(draws), how, level)  # type: ignore[arg-type]


def ranges(stored: dict[str, object]) -> Ranges:
    """The smallest and largest N, D, M and C of the fitted runs."""
    return {name: (float(low), float(high)) for name, (low, high) in stored["ranges"].items()}  # type: ignore[attr-defined]
