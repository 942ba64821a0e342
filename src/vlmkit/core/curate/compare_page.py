"""One page about several corpora: their funnels side by side, and the documents that some keep and others drop."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any

from vlmkit.core.curate.corpora import side_by_side
from vlmkit.core.curate.page import example, pages_read
from vlmkit.core.io.html import NOTHING, counted, document, listed, number, percent, plain, table

Values = Mapping[str, Any]
MOST = 100  # lines of a table, and rules with examples


def compare_page(values: Values) -> str:
    """The page as HTML of what --json says."""
    corpora = values["corpora"]
    title = f"{len(corpora)} corpora compared"
    kept, drops = side_by_side(corpora)
    names = [plain(one["name"]) for one in corpora]
    body = [f"<h1>{title}</h1>", lead(values, names)]
    rows = [[plain(name), *map(percent, shares)] for name, shares in kept]
    body.append(f"<h2>Kept of the pages read</h2>{table(['stage', *names], rows)}")
    rows = [[f"<code>{plain(name)}</code>", *map(number, counts)] for name, counts in drops[:MOST]]
    body.append(f"<h2>Dropped by each rule</h2>{table(['rule', *names], rows)}")
    body += differences(values["differences"])
    return document(title, body)


def lead(values: Values, names: Sequence[str]) -> str:
    """What was kept, and whether the inputs are the same."""
    told = [
        f"{name} keeps {counted(one['documents'], 'document')} of {pages_read(one):,} pages"
        for name, one in zip(names, values["corpora"], strict=True)
    ]
    same = "All were made of the same inputs." if values["same_inputs"] else "They were made of different inputs."
    return f"<p>{listed(told)}. {same}</p>"


def differences(found: Sequence[Values]) -> Iterator[str]:
    """Documents of one corpus that another one dropped."""
    yield "<h2>Kept by one, dropped by another</h2>"
    head = ["kept by", "dropped by", "documents", "by rules", "pages in both"]
    rows = [
        [plain(one["kept_by"]), plain(one["dropped_by"]), number(one["documents"]), by_rules(one["rules"]),
         number(one["pages"])]
        for one in found
    ]  # fmt: skip
    yield table(head, rows[:MOST])
    yield from islice((shown for one in found for shown in examples(one)), MOST)


def examples(one: Values) -> Iterator[str]:
    """What each rule of a difference dropped, a few pages of it."""
    for rule, rows in groupby(one["examples"], key=lambda row: row["rule"]):
        top = f"Kept by {plain(one['kept_by'])}, dropped by {plain(one['dropped_by'])}: <code>{plain(rule)}</code>"
        items = "".join(example(row) for row in rows)
        yield f"<details><summary>{top} ({number(one['rules'][rule])})</summary>{items}</details>"


def by_rules(rules: Mapping[str, int]) -> str:
    """The first rules with their counts."""
    told = ", ".join(f"{plain(name)} {count:,}" for name, count in list(rules.items())[:3])
    return (told + (", …" if len(rules) > 3 else "")) or NOTHING
