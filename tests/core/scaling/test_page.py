"""The page of a fit: self-contained, escaped, the same every time, and honest about what is missing."""

import re
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest

from vlmkit.core.scaling.cautions import TOPICS, topics
from vlmkit.core.scaling.diagnostics import diagnose
from vlmkit.core.scaling.evidence import Places
from vlmkit.core.scaling.figure import svg
from vlmkit.core.scaling.influence import influence
from vlmkit.core.scaling.laws import law_of
from vlmkit.core.scaling.narrative import explain
from vlmkit.core.scaling.page import between, formula, number, page, percent
from vlmkit.core.scaling.study import Method, Roles, arrange, findings, fit_laws, gather, judge, picture, table

VOID = {"meta", "br", "hr", "img", "link", "input"}
NASTY = "<script>alert('1')</script>&\"x\""


class Reader(HTMLParser):
    """Checks that tags close in the order in which they open, and keeps attributes and words."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.tags, self.words = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(text):
    """A page, parsed."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader


def columns(count=16, name="r"):
    """Runs of a known law with a downstream error, the targets among them."""
    generator = np.random.default_rng(0)
    size = np.sort(np.exp(generator.uniform(14, 20, count)))
    tokens = size * generator.choice([5.0, 20.0, 80.0, 320.0], count)
    loss = (1.8 + 480 * size**-0.35 + 2100 * tokens**-0.37) * np.exp(0.003 * generator.standard_normal(count))
    err = 0.9 - 0.5 * np.exp(-0.8 * loss) + 0.002 * generator.standard_normal(count)
    names = np.array([f"{name}{row}" for row in range(count)], dtype=object)
    return {"N": size, "D": tokens, "loss": loss, "err": err, "name": names}


def found(table_, *, law="gadre", asked=(), column=None, method=("lsq", "raw"), **roles):
    """Everything that a page is made of."""
    study = arrange(table_, Roles(**roles), law=law_of(law), loss=column, error_law=law_of("exponential"))
    how = Method(method[0], 1e-3, method[1])
    fits = fit_laws(study, law=law_of(law), error_law=law_of("exponential"), method=how)
    evidence = gather(study, fits, how="wald", draws=20, kind="auto", seed=0, level=0.95)
    weight, places = influence(evidence.loss), Places.of(*np.array(asked, float).reshape(-1, 2).T)
    values = findings(study, evidence, weight, asked=places, notes=judge(study, evidence, weight)) | {
        "diagnostics": diagnose(evidence.loss)
    }
    values |= {"explanation": explain(values), "loss_column": study.loss, "level": evidence.level}
    return values, table(study, evidence), picture(study, evidence, weight)


@pytest.fixture(scope="module")
def usual():
    """A fit with targets, predictions, a downstream law and an outlier."""
    runs = columns(24)
    runs["loss"][5] *= 1.3
    return found(runs, target="N > 2e8", downstream=("err",), asked=[(1e9, 2e10)], method=("huber", "log"))


@pytest.fixture(scope="module")
def tight():
    """Four parameters from four runs."""
    return found(columns(4), asked=[(1e9, 2e10)])


def test_the_page_is_whole_the_same_every_time_and_asks_nobody(usual):
    values, rows, drawn = usual
    text = page(values, rows, svg(drawn))
    assert page(values, rows, svg(drawn)) == text
    reader = read(text)
    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    links = [value for name, value in reader.attributes if name in ("src", "href", "xlink:href", "action")]
    assert all(value.startswith("#") for value in links)  # the figure's own parts
    assert not re.search(r"@import|url\((?!#)", text)
    assert "<?xml" not in text
    assert text.count("<!doctype") + text.count("<!DOCTYPE") == 1
    assert "prefers-color-scheme: dark" in text


def test_all_that_was_found_is_there(usual):
    values, rows, _ = usual
    text = page(values, rows, "")
    for note in values["warnings"]:
        assert escape(note) in text
    for row in rows:
        assert f"<td>{row['name']}</td>" in text
    for heading in ("Parameters", "Targets", "Predictions", "Runs", "Checks", "Influence", "Residuals", "Provenance"):
        assert f"<h2>{heading}" in text
    assert values["data_digest"] in text
    assert escape(values["explanation"]) in text
    assert '<span class="bad">outlier</span>' in text
    assert "The law without its outliers" in text
    assert "gadre law of loss" in text


def test_what_a_user_wrote_is_escaped_everywhere():
    runs = columns(name=NASTY)
    runs |= {f"loss_{NASTY}": runs.pop("loss"), NASTY: runs["err"]}
    runs["name"][:2] = NASTY  # a warning that names a run
    values, rows, drawn = found(
        runs, column=f"loss_{NASTY}", target="N > 2e8", fit="N > 0", downstream=(NASTY,), downstream_fit="N > 0"
    )
    text = page(values, rows, svg(drawn))
    assert any(NASTY in note for note in values["warnings"])
    assert "<script" not in text
    assert "script" not in read(text).tags
    assert escape(NASTY) in text


def test_verdicts_are_those_of_the_targets(usual):
    values, rows, _ = usual
    text = page(values, rows, "")
    verdicts = [row[key] for row in values["targets"] for key in ("inside", "downstream_inside")]
    assert text.count('<span class="good">inside</span>') == verdicts.count(True)
    assert text.count('<span class="bad">outside</span>') == verdicts.count(False)
    missed = [{**row, "inside": False} for row in values["targets"]]
    assert f"Of {len(missed)} targets with a known loss, none lie inside" in page(
        {**values, "targets": missed}, rows, ""
    )


def test_without_degrees_of_freedom_intervals_are_dashes_and_nothing_is_tested(tight):
    values, rows, _ = tight
    text = page(values, rows, "")
    assert re.search(r"<td>E</td><td>[^<]+</td><td>–</td>", text)
    assert "Too few runs to leave any of them out" in text
    assert "No size can be predicted from the others" in text
    assert "Too few degrees of freedom to test" in text
    assert not re.search(r"\b(nan|None|inf)\b", " ".join(read(text).words))


def test_a_missing_interval_is_a_dash_and_an_open_end_is_infinite():
    assert between(None) == number(None) == number(float("nan")) == percent(None) == "–"
    assert between([None, 2.0]) == "−∞ to 2.000"
    assert between([0.5, None]) == "0.5000 to ∞"


@pytest.mark.parametrize("value", [0.0, 1.5, -0.031415, 9999.6, 12345.0, 1.44e9, -2e-7, 0.99996, 7])
def test_a_number_reads_back_to_four_digits(value):
    text = number(value).replace("−", "-").replace(" × 10<sup>", "e").replace("</sup>", "").replace(",", "")
    assert float(text) == pytest.approx(value, rel=1e-3)


def test_powers_of_a_formula_are_raised():
    assert formula("1.2e+04 D^-0.453") == "1.2 × 10<sup>4</sup> D<sup>−0.453</sup>"
    assert formula("(1e-12 / N)^(0.1 / 0.2) + x") == "(1 × 10<sup>−12</sup> / N)<sup>(0.1 / 0.2)</sup> + x"
    assert formula("exp(-0.7 L) <b>") == "exp(−0.7 L) &lt;b&gt;"


def test_every_warning_of_these_fits_has_a_topic(usual, tight):
    notes = [*usual[0]["warnings"], *tight[0]["warnings"]]
    assert notes
    assert set(topics(notes)) <= set(TOPICS.values())
