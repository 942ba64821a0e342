"""Pages for people: one file that needs no script and no network, follows the reader's light or dark, and fits a phone
and a sheet of paper.

Text of a user or of the web passes through `plain`; numbers are written by `number` and its like alone.
"""

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #57606a; --paper: #ffffff; --line: #d0d7de; --good: #1a7f37;
  --bad: #b35900; --tint: #fff4e5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9198a1; --paper: #0d1117; --line: #3d444d;
  --good: #56d364; --bad: #f0a45d; --tint: #2b2013; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  padding: 1.5rem 1rem 3rem; max-width: 66rem; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .6rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; } p, ol, dl { max-width: 48rem; } .dim { color: var(--dim); }
.formula { font-size: 1.2rem; } sup { line-height: 0; } code { font-size: .85em; overflow-wrap: anywhere; }
.warnings { background: var(--tint); border-left: .3rem solid var(--bad); border-radius: 4px; padding: .7rem 1rem;
  margin: 1.2rem 0; } .warnings h2 { margin: 0; } .warnings ol { margin: .4rem 0 0; padding-left: 1.4rem; }
figure { margin: 1.5rem 0; } figcaption { color: var(--dim); font-size: .9rem; margin-top: .4rem; max-width: 48rem; }
.picture { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: .5rem; overflow-x: auto; }
.picture svg { width: 100%; min-width: 46rem; height: auto; display: block; }
.row { display: flex; flex-wrap: wrap; gap: 0 4rem; } .row > div { max-width: 100%; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
.bar { background: var(--tint); border-radius: 3px; min-width: 9rem; } .bar i { display: block; height: .8rem;
  border-radius: 3px; background: var(--good); } .item { max-width: 60rem; margin: .7rem 0 .7rem 1rem;
  overflow-wrap: anywhere; } .item blockquote { margin: .2rem 0 0; padding-left: .8rem; overflow: hidden;
  border-left: .2rem solid var(--line); color: var(--dim); }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
dt { font-weight: 600; margin-top: .5rem; } dd { margin: 0; } summary { cursor: pointer; }
@media (max-width: 40rem) { body { font-size: 15px; } th, td { padding: .25rem .5rem; } }
@media print { :root { --ink: #000; --dim: #444; --paper: #fff; --line: #bbb; --good: #1a7f37; --bad: #8a4500;
  --tint: #fff; } body { max-width: none; padding: 0; font-size: 10pt; } h2, h3 { break-after: avoid; }
  .picture, .scroll { overflow: visible; } .picture { border: 0; padding: 0; } .picture svg { min-width: 0; }
  figure, tr, .warnings { break-inside: avoid; } }
"""
NOTHING = "–"
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]")


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page of parts that are HTML already."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{escape(title)}</title><style>{STYLE}</style>"
    content = "\n".join(part for part in parts if part)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{content}\n</body></html>\n'


def plain(text: str, *, most: int = 200) -> str:
    """The beginning of a text as HTML that shows nothing but itself: white space is one space, marks that cannot be
    seen or that turn the direction of what follows are U+FFFD, and a text from right to left turns itself alone."""
    line = " ".join(text[: 4 * most].split())
    cut = line[:most] + ("…" if len(line) > most or len(text) > 4 * most else "")
    return f"<bdi>{escape(UNSEEN.sub(chr(0xFFFD), cut), quote=False)}</bdi>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], heading: str = "") -> str:
    """A table of cells that are HTML already, below its heading."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    cells = f"<thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody>"
    above = f"<h3>{escape(heading)}</h3>" if heading else ""
    return f'<div>{above}<div class="scroll"><table>{cells}</table></div></div>'


def beside(*tables: str) -> str:
    """Tables side by side where there is room."""
    return f'<div class="row">{"".join(tables)}</div>' if tables else ""


def number(value: float | None, *, digits: int = 4) -> str:
    """A number as a reader wants it; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if isinstance(value, int) or value == 0:
        return f"{value + 0:,.0f}"  # no minus before a zero
    power = math.floor(math.log10(abs(value)))
    if -4 <= power < 4:
        return f"{value:#.{digits}g}".rstrip(".").replace("-", "−")
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa} × 10<sup>{int(exponent)}</sup>".replace("-", "−")


def between(ends: Sequence[float | None] | None) -> str:
    """An interval, whose ends may be open; a dash where there is none."""
    if ends is None:
        return NOTHING
    low, high = ends
    return f"{'−∞' if low is None else number(low)} to {'∞' if high is None else number(high)}"


def percent(value: float | None, *, sign: bool = False) -> str:
    """A fraction in percent."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{100 * value:{'+' if sign else ''}.2f} %".replace("-", "−")


def counted(count: int, what: str) -> str:
    """So many of something."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def listed(words: Sequence[str]) -> str:
    """Words with commas and an `and`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
