"""The picture of a fit: the same bytes every time, panels where there is something to show, axes that fit the runs."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.collections import PolyCollection

from vlmkit.core.io.plots import STYLE
from vlmkit.core.scaling.figure import draw, png, svg
from vlmkit.core.scaling.frontier import frontier_row, laws_of
from vlmkit.core.scaling.influence import influence
from vlmkit.core.scaling.laws import law_of
from vlmkit.core.scaling.picture import grouped
from vlmkit.core.scaling.points import Points
from vlmkit.core.scaling.study import Method, Roles, arrange, fit_laws, gather, picture

LOSS, RESIDUALS, INFLUENCE, SPLIT = "Loss", "Residuals", "Influence", "Compute-optimal split"
DOWNSTREAM = "Downstream error"


def columns(count=16, *, noise=0.003, seed=0):
    """Runs of a known law with a downstream error; the last is the largest."""
    generator = np.random.default_rng(seed)
    size = np.sort(np.exp(generator.uniform(14, 20, count)))
    tokens = size * generator.choice([5.0, 20.0, 80.0, 320.0], count)
    loss = (1.8 + 480 * size**-0.35 + 2100 * tokens**-0.37) * np.exp(noise * generator.standard_normal(count))
    err = 0.9 - 0.5 * np.exp(-0.8 * loss) + 0.002 * generator.standard_normal(count)
    names = np.array([f"r{row}" for row in range(count)], dtype=object)
    return {"N": size, "D": tokens, "loss": loss, "err": err, "name": names}


def picture_of(table, *, law="gadre", over="C", error="exponential", loss="lsq", **roles):
    """What is drawn for a table of runs."""
    form, error_form = law_of(law, over), law_of(error)
    study = arrange(table, Roles(**roles), law=form, loss=None, error_law=error_form)
    fits = fit_laws(study, law=form, error_law=error_form, method=Method(loss, 1e-3, "raw"))
    evidence = gather(study, fits, how="wald", draws=40, kind="auto", seed=0, level=0.95)
    return picture(study, evidence, influence(evidence.loss))


def panels(drawn):
    """The panels by their titles, up to what differs from fit to fit."""
    with rc_context(STYLE), np.errstate(all="ignore"):
        every = draw(drawn).axes
    return {axes.get_title(loc="left").partition(":")[0].partition(" (")[0]: axes for axes in every}


def texts(image):
    """All words in an SVG file."""
    return ["".join(part.itertext()) for part in ET.fromstring(image).iter() if part.tag.endswith("}text")]


@pytest.fixture(scope="module")
def usual():
    """A fit with held-out runs, targets and a downstream law."""
    return picture_of(columns(), target="N > 2e8", downstream=("err",))


@pytest.fixture(scope="module")
def tight():
    """Four parameters from four runs, all of them fitted."""
    return picture_of(columns(4))


def test_the_same_fit_gives_the_same_bytes_whatever_the_machine_is_set_to(tight):
    image, pixels = svg(tight), png(tight, dpi=40)
    with rc_context({"font.size": 20, "axes.grid": False, "svg.fonttype": "path"}):
        assert svg(tight) == image
        assert png(tight, dpi=40) == pixels
    assert "Date" not in image


def test_a_panel_appears_when_there_is_something_to_show(usual, tight):
    everything = columns()
    compute = {"C": 6 * everything["N"] * everything["D"], "loss": everything["loss"], "name": everything["name"]}
    assert list(panels(usual)) == [LOSS, DOWNSTREAM, RESIDUALS, INFLUENCE, SPLIT]
    assert list(panels(picture_of(everything))) == [LOSS, RESIDUALS, INFLUENCE, SPLIT]
    assert list(panels(picture_of(columns(5)))) == [
        LOSS,
        RESIDUALS,
        SPLIT,
    ]  # one degree of freedom: no run can be left out
    assert list(panels(tight)) == [LOSS, SPLIT]  # none: nothing is left over
    assert list(panels(picture_of(compute, law="power"))) == [LOSS, RESIDUALS, INFLUENCE]


def test_no_split_is_drawn_where_the_law_has_no_optimum():
    table = columns()
    table["loss"] = 1 + 1e-3 * table["N"] ** 0.3  # rises with size
    assert SPLIT not in panels(picture_of(table))


def test_runs_without_n_and_d_share_a_group_of_their_own():
    table = columns()
    table["C"] = 6 * table["N"] * table["D"]
    table["N"][:3] = table["D"][:3] = np.nan
    drawn = picture_of(table, law="power")
    assert "unknown" in texts(svg(drawn))
    assert sum(int(group.holds(drawn.fitted).sum()) for group in grouped(drawn)) == 16


@pytest.mark.parametrize("spread", [0.0, 0.01, 3.0])
def test_every_run_has_exactly_one_colour(usual, spread):
    generator = np.random.default_rng(0)
    size = np.exp(generator.uniform(10, 20, 60))
    tokens = size * generator.choice([5.0, 20.0, 320.0], 60) * np.exp(spread * generator.uniform(0, 1, 60))
    runs = Points(size, tokens, 6 * size * tokens, np.ones(60), tuple("x" * 60))
    groups = grouped(replace(usual, fitted=runs))
    assert (np.sum([group.holds(runs) for group in groups], axis=0) == 1).all()
    assert len({group.shade for group in groups}) == len(groups) == len({group.label for group in groups})


def test_wide_intervals_leave_the_axes_to_the_runs():
    table = columns(noise=0.02)
    drawn = picture_of(table, fit=f"N < {table['N'][5]}", target="N > 2e8")  # one degree of freedom
    drawn = replace(drawn, evidence=replace(drawn.evidence, level=0.999))
    found = drawn.evidence.predict(drawn.targets.places)
    seen = np.concatenate([drawn.fitted.value, drawn.held_out.value, found.value])
    low, high = panels(drawn)[LOSS].get_ylim()
    assert low <= seen.min() < seen.max() <= high
    assert high - low < 2 * np.ptp(seen)
    assert (found.high - found.low).max() > high - low


def test_without_degrees_of_freedom_no_interval_is_drawn_or_named(tight):
    assert not any("interval" in text for text in texts(svg(tight)))
    bands = [part for part in panels(tight)[LOSS].collections if isinstance(part, PolyCollection)]
    assert not any(path.vertices.size for band in bands for path in band.get_paths())


def test_the_split_is_the_frontier_and_spends_the_compute(usual):
    axes = panels(usual)[SPLIT]
    lines = {line.get_label(): line for line in axes.lines}
    flops, size = next(line.get_data() for label, line in lines.items() if label.startswith("parameters"))
    tokens = next(line.get_ydata() for label, line in lines.items() if label.startswith("training tokens"))
    np.testing.assert_allclose(6 * size * tokens, flops)
    row = frontier_row(usual.evidence, laws_of(usual.evidence), float(flops[5]))
    assert size[5] == row["N"]
    assert flops[-1] == pytest.approx(100 * (6 * usual.fitted.size * usual.fitted.tokens).max())


def test_a_residual_far_out_stands_on_the_edge_with_its_name_and_size():
    table = columns(24)
    table["loss"][5] *= 1.5
    drawn = picture_of(table, loss="huber")
    low, high = panels(drawn)[RESIDUALS].get_ylim()
    assert drawn.weight.outlier[5]
    assert high - low < 10  # percent: the others can be told apart
    assert any(text.startswith("r5 (+") and text.endswith("%)") for text in texts(svg(drawn)))


def test_at_most_six_names_stand_beside_points_and_none_on_another():
    table = columns(40)
    table["loss"][4::4] *= np.linspace(1.2, 1.6, 9)
    drawn = picture_of(table, loss="huber")
    names = panels(drawn)[RESIDUALS].texts
    assert drawn.weight.outlier.sum() == 9
    assert len(names) == 6
    heights = np.sort([text.xyann[1] for text in names])
    assert np.diff(heights).min() > 0.05


def test_names_of_any_script_are_drawn_as_they_are_and_never_as_formulas():
    table = columns()
    table["name"] = np.array([f"$a_{row} <b>&\"' \x00\n名前" for row in range(16)], dtype=object)
    words = texts(svg(picture_of(table, downstream=("err",))))  # parsing it is half of the test
    assert any("<b>&" in word and "名前" in word for word in words)


def test_a_law_past_the_loss_is_drawn_against_compute_and_the_others_against_the_loss(usual):
    direct = picture_of(columns(), downstream=("err",), error="log-accuracy")
    assert panels(direct)[DOWNSTREAM].get_xlabel() == "training compute C (FLOPs)"
    assert panels(usual)[DOWNSTREAM].get_xlabel().startswith("loss")


@pytest.mark.parametrize(
    ("over", "label"), [("N", "parameters N"), ("D", "training tokens D"), ("C", "training compute")]
)
def test_a_law_of_one_variable_is_drawn_over_it(over, label):
    axes = panels(picture_of(columns(), law="power", over=over))[LOSS]
    assert axes.get_xlabel().startswith(label)
    assert sum(len(line.get_xdata()) > 100 for line in axes.lines) == 1  # one curve, whatever the multipliers
