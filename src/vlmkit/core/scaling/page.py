"""One page about a fit: what was found, what is doubtful, the picture, then every number. It needs no script and no
network, follows the reader's light or dark, and fits a phone and a sheet of paper.

Whatever comes from a user passes through `html.escape`; numbers are written by `number` alone.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape

from vlmkit.core.io.html import NOTHING, beside, between, counted, document, listed, number, percent, table
from vlmkit.core.scaling.cautions import topics
from vlmkit.core.scaling.narrative import Values, certified, fitted, method

PROBABLE = 0.05  # a probability below it is called a sign
MOST_ROWS = 500  # runs that the page lists
VALUES = "true", "predicted", "low", "high", "relative_error", "inside"


def page(values: Values, rows: Sequence[Values], image: str) -> str:
    """The page as HTML: `values` is what `study.findings` says with diagnostics and explanation, `rows` (N,) the table
    of runs, `image` an SVG file. The same input gives the same text."""
    loss = str(values.get("loss_column", "the loss"))
    title = f"The {values['law']} law of {loss}"
    body = [
        f"<h1>{escape(title)}</h1>",
        *lead(values),
        *warned(values["warnings"]),
        picture(image),
        *parameters(values),
        *targets(values),
        *predictions(values),
        *runs(rows),
        *checks(values),
        *influence(values),
        *diagnostics(values["diagnostics"]),
        *provenance(values),
    ]
    return document(title, body)


def lead(values: Values) -> Iterator[str]:
    """What was found, in a paragraph."""
    yield f'<p class="formula">{formula(values["formula"])}</p>'
    text = [f"Fitted to {fitted(values)}; intervals{level_of(values)} by {escape(method(values))}."]
    text += [judged(values["targets"], "", "loss")] if values["targets"] else []
    along = values.get("downstream")
    if along:
        text.append(
            f"Downstream, {escape(str(along['column']))} follows {formula(along['formula'])}, from {fitted(along)}."
        )
    if along and values["targets"]:
        text.append(judged(values["targets"], "downstream_", "error"))
    if values["checks"]["rollout"]:
        last = values["checks"]["rollout"][-1]
        text.append(
            f"The largest size, predicted from the smaller ones, is off by {percent(last['mean_error'])} on average."
        )
    far = {name: value for name, value in values["extrapolation"].items() if value}
    if far:
        reach = ", ".join(f"{value:.1f} in {name}" for name, value in far.items())
        text.append(f"Predictions reach beyond the fitted runs, by decades: {reach}.")
    elif values["targets"] or values["predictions"]:
        text.append("All predictions lie within the range of the fitted runs.")
    notes = values["warnings"]
    told = f"{counted(len(notes), 'warning')}, about {listed(topics(notes))}" if notes else "no warnings"
    yield f"<p>{' '.join(text)} There {'is' if len(notes) == 1 else 'are'} {told}.</p>"
    if values["explanation"]:
        yield f"<p>{escape(values['explanation'])}</p>"


def judged(rows: Sequence[Values], prefix: str, what: str) -> str:
    """How many targets lie inside their intervals, and the largest error."""
    known = [row for row in rows if row[f"{prefix}true"] is not None]
    if not known:
        return f"The {what} of {counted(len(rows), 'target')} is predicted; its truth is not known."
    errors = [abs(row[f"{prefix}relative_error"]) for row in known if row[f"{prefix}relative_error"] is not None]
    worst = f"the largest error of a predicted {what} is {percent(max(errors))}" if errors else ""
    verdicts = [row[f"{prefix}inside"] for row in known if row[f"{prefix}inside"] is not None]
    if not verdicts:
        return f"There are no intervals to hold the targets against; {worst or 'nothing is predicted'}."
    whole = counted(len(verdicts), "target")
    lie = f"lie{'s' * (sum(verdicts) == 1)} inside {'its interval' if sum(verdicts) == 1 else 'their intervals'}"
    count = "all" if all(verdicts) and len(verdicts) > 1 else sum(verdicts) or "none"
    return f"Of {whole} with a known {what}, {count} {lie}; {worst}."


def warned(notes: Sequence[str]) -> Iterator[str]:
    """The warnings, where they cannot be overlooked."""
    if notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in notes)
        heading = counted(len(notes), "warning")
        yield f'<section class="warnings"><h2>{heading}</h2><ol>{items}</ol></section>'


def picture(image: str) -> str:
    """The figure without its XML head."""
    if "<svg" not in image:
        return ""
    label = "The law among its runs, its residuals, the influence of single runs, the best split of compute"
    drawn = image[image.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    caption = (
        "Filled runs were fitted, hollow ones were not; crosses are predictions with their intervals, and an arrow on "
        "an edge says that an interval goes on. Residuals beyond the panel stand on its edge as triangles."
    )
    return f'<figure><div class="picture">{drawn}</div><figcaption>{caption}</figcaption></figure>'


def parameters(values: Values) -> Iterator[str]:
    """Parameters and what derives from them, with intervals, of both laws."""
    laws = [(values, "")]
    if along := values.get("downstream"):
        laws = [(values, "Loss"), (along, f"Downstream: {along['law']} law")]
    tables = []
    for law, heading in laws:
        found = {name: value for name, value in {**law["params"], **law["derived"]}.items() if name != "downstream"}
        rows = [[escape(name), number(value), between(law["intervals"].get(name))] for name, value in found.items()]
        tables.append(table(["", "value", f"interval{level_of(values)}"], rows, heading))
    yield f"<h2>Parameters</h2>{beside(*tables)}"


def targets(values: Values) -> Iterator[str]:
    """Targets beside their truth: their loss, then their downstream error."""
    rows = values["targets"]
    if not rows:
        return
    yield "<h2>Targets</h2>"
    head = ["run", "N", "D", "true", "predicted", f"interval{level_of(values)}", "error", ""]
    for prefix, heading in (("", "Loss"), ("downstream_", "Downstream error")):
        if f"{prefix}true" in rows[0]:
            yield table(
                head, [[escape(str(row["name"])), *place(row), *compared(row, prefix)] for row in rows], heading
            )


def compared(row: Values, prefix: str) -> list[str]:
    """Truth, prediction, interval, error and verdict."""
    true, predicted, low, high, error, inside = (row[f"{prefix}{name}"] for name in VALUES)
    words = {True: '<span class="good">inside</span>', False: '<span class="bad">outside</span>', None: NOTHING}
    verdict = words[inside]
    ends = None if low is None and high is None else (low, high)
    return [number(true), number(predicted), between(ends), percent(error, sign=True), verdict]


def predictions(values: Values) -> Iterator[str]:
    """What was asked for."""
    rows = values["predictions"]
    if not rows:
        return
    kinds = [("", "loss"), ("downstream_", "downstream error")]
    kinds = [(prefix, what) for prefix, what in kinds if f"{prefix}predicted" in rows[0]]
    head = ["N", "D", "C", *(cell for _, what in kinds for cell in (what, f"interval{level_of(values)}"))]
    cells = [
        [*place(row), number(row["C"], digits=3), *(cell for prefix, _ in kinds for cell in told(row, prefix))]
        for row in rows
    ]
    yield f"<h2>Predictions</h2>{table(head, cells)}"


def told(row: Values, prefix: str = "") -> list[str]:
    """A prediction and its interval."""
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    return [number(row[f"{prefix}predicted"]), between(None if low is None and high is None else (low, high))]


def runs(rows: Sequence[Values]) -> Iterator[str]:
    """Every run, folded away."""
    if not rows:
        return
    roles = {"fit": "fitted", "target": "target", "other": "held out"}
    cells = []
    for row in rows[:MOST_ROWS]:
        true, predicted = row["true"], row["predicted"]
        error = None if true is None or predicted is None else predicted / true - 1
        role = escape(roles.get(row["role"], str(row["role"])))
        name = escape(str(row["name"]))
        cells.append([name, role, *place(row), number(true), *told(row), percent(error, sign=True)])
    head = ["run", "role", "N", "D", "true", "predicted", "interval", "error"]
    rest = (
        f"<p>{counted(len(rows) - MOST_ROWS, 'more run')} in predictions.parquet.</p>" if len(rows) > MOST_ROWS else ""
    )
    summary = f"<summary>All {counted(len(rows), 'run')}, with what the law says of them</summary>"
    yield f"<h2>Runs</h2><details>{summary}{table(head, cells)}{rest}</details>"


def checks(values: Values) -> Iterator[str]:
    """How a law that is fitted to some sizes predicts the others."""
    yield "<h2>Checks</h2>"
    over = re.match(r"L\((\w)", values["formula"]) if values["law"] == "power" else None
    head = [over[1] if over else "N", "runs", "fitted to", "dof", "mean error", "largest", "bias", "inside"]
    kinds = {
        "rollout": "Each size, predicted from the smaller ones",
        "leave_one_size_out": "Each size, predicted from all others",
    }
    if not any(values["checks"].values()):
        yield '<p class="dim">No size can be predicted from the others: too few runs, or N and D grow in step.</p>'
    tables = []
    for name, heading in kinds.items():
        rows = [
            [
                number(row["size"], digits=3), number(row["n"]), number(row["n_fit"]), number(row["dof"]),
                percent(row["mean_error"]), percent(row["worst_error"]), percent(row["bias"], sign=True),
                f"{row['inside']} of {row['n']}",
            ]
            for row in values["checks"][name]
        ]  # fmt: skip
        if rows:
            tables.append(table(head, rows, heading))
    yield beside(*tables)


def influence(values: Values) -> Iterator[str]:
    """The runs that weigh most, and the law without the outliers."""
    yield "<h2>Influence of single runs</h2>"
    rows = [row for row in values["influence"] if row["shift"] is not None or row["outlier"]]
    if not rows:
        yield '<p class="dim">Too few runs to leave any of them out.</p>'
        return
    cells = [
        [
            escape(str(row["name"])), *place(row), f"{row['deviation']:+.1f}".replace("-", "−"),
            NOTHING if row["shift"] is None else f"{row['shift']:.2f}",
            NOTHING if row["shift"] is None else escape(row["parameter"]),
            '<span class="bad">outlier</span>' if row["outlier"] else "",
        ]
        for row in rows
    ]  # fmt: skip
    yield (
        "<p>A run's deviation is its residual over the robust standard deviation; its shift is how far the parameter "
        "that moves most does so without the run, in standard errors.</p>"
    )
    tables = [table(["run", "N", "D", "deviation", "shift", "parameter", ""], cells, "The heaviest runs")]
    without = values["without_outliers"]
    if without:
        fit = {**values["params"], **values["derived"]}
        both = [(name, fit[name], value) for name, value in without.items() if name in fit]
        changes = [
            [escape(name), number(old), number(new), percent(new / old - 1, sign=True) if old and new else NOTHING]
            for name, old, new in both
        ]
        tables.append(table(["", "all runs", "without", "change"], changes, "The law without its outliers"))
    yield beside(*tables)


def diagnostics(found: Values) -> Iterator[str]:
    """Whether the residuals are what the intervals suppose."""
    tests = {
        "breusch_pagan_p": ("of one width (Breusch and Pagan)", "wider in some places than in others"),
        "jarque_bera_p": ("normal (Jarque and Bera)", "not normal: intervals may be too narrow or too wide"),
    }
    cells = [
        [what, number(p, digits=2), f'<span class="bad">{sign}</span>' if p < PROBABLE else "no sign against it"]
        for name, (what, sign) in tests.items()
        if (p := found.get(name)) is not None
    ]
    told = table(["the intervals suppose residuals", "p", ""], cells)
    told += f"<p>Skewness {number(found.get('skew'))}, kurtosis {number(found.get('kurtosis'))} (normal: 0 and 3).</p>"
    nothing = '<p class="dim">Too few degrees of freedom to test the residuals.</p>'
    yield f"<h2>Residuals</h2>{told if cells else nothing}"


def provenance(values: Values) -> Iterator[str]:
    """How the numbers came about."""
    draws, certificate = values["bootstrap"], values["certificate"]
    decades = ", ".join(f"{name} {value:.2f}" for name, value in values["extrapolation"].items())
    drawn = f"{counted(draws['draws'], 'draw')} ({draws['kind']}), {draws['on_bound']} on the edge of what was searched"
    sums = f"objective {number(values['objective'])}, sum of squares {number(values['rss'])}"
    facts = {
        f"Intervals{level_of(values)}": escape(method(values)),
        "Bootstrap": drawn if draws["draws"] else "no draws",
        "Optimum": f"{escape(certified(values))}; {sums}",
        "Parameters on the edge of what was searched": escape(", ".join(certificate["bounds"])) or "none",
        "Extrapolation, in decades": decades or "nothing is predicted",
        "Digest of the fitted runs": f"<code>{escape(values['data_digest'])}</code>",
    }
    yield f"<h2>Provenance</h2><dl>{''.join(f'<dt>{name}</dt><dd>{fact}</dd>' for name, fact in facts.items())}</dl>"


def place(row: Values) -> list[str]:
    """N and D."""
    return [number(row["N"], digits=3), number(row["D"], digits=3)]


def formula(text: str) -> str:
    """A formula with its powers raised."""
    raised = re.sub(r"\^(-?[\d.]+(?:e[+-]\d+)?|\([^()]*\))", r"<sup>\1</sup>", escape(text))
    return re.sub(r"(\d)e([+-])0*(\d+)", r"\1 × 10<sup>\2\3</sup>", raised).replace("<sup>+", "<sup>").replace("-", "−")


def level_of(values: Values) -> str:
    """The level of the intervals, where it is told."""
    return f" of {100 * values['level']:g} %" if "level" in values else ""
