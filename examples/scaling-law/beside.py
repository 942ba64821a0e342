"""The laws that were fitted beside the laws that the runs were simulated from.

    python beside.py OUT LAW…        # reads OUT/runs/truth.json, OUT/LAW/law.json; prints, and writes OUT/beside.txt

The truth of a prediction is the loss without noise; `observed` is what the run had.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

DATASET = "web"
TABLES = {"gadre": "runs.parquet", "chinchilla": "chinchilla.csv"}


def read(path: Path) -> dict:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def row(what: str, true: float, found: float, ends: list[float] | None, note: str = "") -> str:
    """One number beside its truth."""
    if ends is None:
        return f"  {what:<18}{true:>11.5g}{found:>11.5g}   no interval{note}"
    low, high = ends
    verdict = "inside" if low <= true <= high else "OUTSIDE"
    return f"  {what:<18}{true:>11.5g}{found:>11.5g}   {low:>9.5g} to {high:<9.5g} {verdict}{note}"


def parameters(law: dict, true: dict) -> Iterator[str]:
    """The parameters of the loss law and, if there is one, of the law of the downstream error."""
    table = true[TABLES[law["law"]]]
    for name, value in table["params"].get(DATASET, table["params"]).items():
        yield row(name, value, law["params"][name], law["intervals"].get(name))
    downstream = law.get("downstream")
    if downstream:
        for name, value in true["downstream"]["params"][DATASET][downstream["column"]].items():
            yield row(name, value, downstream["params"][name], downstream["intervals"].get(name))


def predictions(law: dict, true: dict) -> Iterator[str]:
    """The runs that were left out of the fit."""
    largest = {run["name"]: run for run in true["runs.parquet"]["largest"]}
    for target in law["targets"]:
        loss, error = (largest[target["name"]][key] for key in ("loss", "err_avg"))
        ends = [target["low"], target["high"]]
        yield row(target["name"], loss, target["predicted"], ends, f"; observed {target['true']:.5g}")
        ends = [target["downstream_low"], target["downstream_high"]]
        seen = f"; observed {target['downstream_true']:.5g}"
        yield row("  its error", error, target["downstream_predicted"], ends, seen)


def outliers(law: dict, true: dict) -> Iterator[str]:
    """The runs that are too high, in truth and in the eyes of the tool."""
    wrong = set(true[TABLES[law["law"]]]["outliers"])
    flagged = {point["name"] for point in law["influence"] if point["outlier"]}
    if law["law"] == "gadre":
        wrong = {name for name in wrong if name.startswith(DATASET)}
    yield f"  too high in truth:        {', '.join(sorted(wrong))}"
    yield f"  flagged among the fitted: {', '.join(sorted(flagged)) or 'none'}"


def main(out: Path, names: list[str]) -> None:
    """Print every law and its truth."""
    true, lines = read(out / "runs" / "truth.json"), []
    for name in names:
        law = read(out / name / "law.json")
        lines += [f"{name}: {law['law']}, {law['n']} runs", f"  {'':<18}{'truth':>11}{'found':>11}   interval"]
        lines += [*parameters(law, true), *predictions(law, true), *outliers(law, true), ""]
    (out / "beside.txt").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
