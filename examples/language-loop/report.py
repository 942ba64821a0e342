"""One page about a run of the language loop: the funnel of documents, the loss curves, the law and what it predicted.

    python report.py OUT        # reads OUT/clean, OUT/runs, OUT/scores, OUT/law; writes OUT/report.html

The page is self-contained: no script, no network, light and dark.
"""

import html
import io
import json
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pyarrow.parquet as pq

matplotlib.rcParams |= {"svg.hashsalt": "vlmkit", "font.size": 9, "font.family": "sans-serif"}

STYLE = Path(__file__).with_name("style.css")


def manifest(folder: Path) -> dict:
    """What a finished artifact says of itself."""
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def funnel(stages: list[dict]) -> str:
    """How many pages each stage kept and dropped, as bars on one scale."""
    total = max(stage["kept"] + stage["dropped"] for stage in stages)
    rows = []
    for stage in stages:
        kept, lost = (100 * stage[key] / total for key in ("kept", "dropped"))
        bars = f'<div class="kept" style="width:{kept:.2f}%"></div><div class="lost" style="width:{lost:.2f}%"></div>'
        label = f"{stage['kept']:,} kept, {stage['dropped']:,} dropped"
        rows.append(f'<div>{stage["name"]}</div><div class="track" title="{label}">{bars}</div><div>{label}</div>')
    return f'<div class="funnel">{"".join(rows)}</div>'


def table(head: list[str], rows: list[list[object]]) -> str:
    """A table; numbers short."""
    cells = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(shown(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{cells}</tr>{body}</table></div>'


def shown(value: object) -> str:
    """A number as a reader wants it."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.2e}" if abs(value) >= 1e9 else f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def figure(made: plt.Figure) -> str:
    """A plot as SVG inside the page, the same bytes for the same numbers."""
    text = io.StringIO()
    made.savefig(text, format="svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(made)
    return embed(text.getvalue())


def embed(svg: str) -> str:
    """An SVG file without its XML head."""
    return f"<figure>{svg[svg.index('<svg') :]}</figure>"


def curves(runs: list[tuple[dict, dict]]) -> str:
    """Training loss against tokens, one line a run, smoothed over a twentieth of it."""
    made, axes = plt.subplots(figsize=(8, 4))
    colours = plt.get_cmap("viridis")
    for place, (row, metrics) in enumerate(runs):
        window = max(1, len(metrics["loss"]) // 20)
        loss = metrics["loss"]
        smooth = [sum(part) / len(part) for i in range(len(loss)) for part in [loss[max(0, i - window + 1) : i + 1]]]
        label = f"{row['N'] / 1e3:,.0f}k parameters, {row['D'] / 1e6:.2g}M tokens"
        axes.plot(metrics["tokens"], smooth, color=colours(place / max(len(runs), 1)), label=label, lw=1.3)
    axes.set(xscale="log", xlabel="tokens seen", ylabel="training loss (nats a token)")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, frameon=False, ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    return figure(made)


def page(out: Path) -> str:
    """The whole page."""
    clean, law, scores = (manifest(out / name) for name in ("clean", "law", "scores"))
    runs = read_runs(out / "runs")
    title = "From web pages to a scaling law"
    count, tokens = clean["metrics"]["documents"], clean["metrics"]["tokens"]
    intro = (
        f"{count:,} documents, {tokens:,} tokens, {len(runs)} models, made by "
        f"<code>vlmkit sample, curate, pretrain, eval, fit-scaling</code>. Finished {law['finished']}."
    )
    body = [f'<h1>{title}</h1><p class="dim">{intro}</p>', *documents(clean["metrics"])]
    body += ["<h2>Loss curves</h2>", curves(runs), *models(runs, scores["metrics"]["models"])]
    body += [*prediction(law["metrics"]), embed((out / "law" / "fit.svg").read_text(encoding="utf-8"))]
    warnings = "".join(f"<li>{html.escape(text)}</li>" for text in law["metrics"]["warnings"])
    body += [f"<p>What the tool warns of:</p><ul>{warnings}</ul>"] if warnings else []
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>vlmkit: the language loop</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>'


def read_runs(folder: Path) -> list[tuple[dict, dict]]:
    """The row and the metrics of each run, in the order of their compute."""
    found = []
    for path in folder.glob("*/run.parquet"):
        metrics = pq.read_table(path.with_name("metrics.parquet")).to_pydict()
        found.append((pq.read_table(path).to_pylist()[0], metrics))
    return sorted(found, key=lambda pair: pair[0]["C"])


def documents(metrics: dict) -> list[str]:
    """What became of the pages."""
    rules = sorted(metrics["rules"].items(), key=lambda pair: -pair[1])
    rows = [[name, count] for name, count in rules if count]
    dropped = table(["rule", "documents"], rows)
    return [
        "<h2>Documents</h2>",
        funnel(metrics["stages"]),
        f"<details><summary>What dropped them</summary>{dropped}</details>",
    ]


def models(runs: list[tuple[dict, dict]], scored: list[dict]) -> list[str]:
    """Every model with its size, its held-out loss and its accuracies."""
    accuracy = {model["name"]: {name: task["accuracy"] for name, task in model["tasks"].items()} for model in scored}
    tasks = [name for name in next(iter(accuracy.values())) if any(one[name] is not None for one in accuracy.values())]
    held = next(column for column in runs[0][0] if column.startswith("loss_"))
    columns = ("name", "N", "D", "M", "C", held)
    rows = [[row[c] for c in columns] + [accuracy[row["name"]].get(task) for task in tasks] for row, _ in runs]
    heads = [
        "model",
        "N",
        "D",
        "D/N",
        "FLOPs",
        "held-out loss",
        *(task.removeprefix("pages_").replace("_", " ") for task in tasks),
    ]
    return [
        "<h2>Models</h2>",
        table(heads, rows),
        '<p class="dim">The last columns are accuracies on tasks made from other pages.</p>',
    ]


def prediction(fit: dict) -> list[str]:
    """What the law said of the model that it had not seen."""
    parts = ["<h2>The law</h2>"]
    for one in fit["targets"]:
        what = f"{shown(one['N'])} parameters on {shown(one['D'])} tokens"
        found = f"predicted {one['predicted']:.3f}, reached {one['true']:.3f} ({100 * one['relative_error']:+.1f} %)"
        side = f"{'inside' if one['inside'] else 'outside'} the 95 % interval of {one['low']:.3f} to {one['high']:.3f}"
        parts += [f'<p class="big">{what}: {found}, {side}.</p>']
    params = ", ".join(f"{name} = {value:.4g}" for name, value in fit["params"].items() if isinstance(value, float))
    parts.append(f"<p>Fitted to {fit['n']} runs, {fit['dof']} degrees of freedom: {params}.</p>")
    return parts


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "report.html").write_text(page(where), encoding="utf-8")
    print(f"the page is at {where / 'report.html'}")
