"""`vlmkit curate compare`: funnels side by side, and what one corpus keeps and another drops."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.configs.curate_compare import CurateCompareConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.tables import read_tables
from vlmkit.core.recipes.curate import run as curate
from vlmkit.core.recipes.curate_compare import run as compare


def corpus(folder: Path, name: str, *, least: int, dedup: tuple[str, ...], texts: int = 30) -> Path:
    source = folder / f"in-{texts}.jsonl"
    lines = [{"id": f"d{n}", "text": " ".join(f"w{n // 2}x{k}" for k in range(3 * (n // 2) + 3))} for n in range(texts)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe = folder / f"{name}.yaml"
    recipe.write_text(f"- steps:\n  - {{func: page_length_filter, length_type: word, min_length: {least}}}\n")
    stages = ("extract", "heuristics", *(["dedup"] if dedup else []))
    settings = {"recipe": str(recipe), "stages": stages, "out": folder / name, "workers": 1}
    curate(CurateConfig(inputs=(source,), **settings, **({"dedup": dedup} if dedup else {})))  # type: ignore[arg-type]
    return folder / name


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("corpora")
    return [corpus(folder, "loose", least=10, dedup=("exact",)), corpus(folder, "strict", least=20, dedup=())]


def ids(folder: Path, table: str) -> set[str]:
    return set(read_tables(folder / table)["id"].to_pylist())


def test_differences_are_those_of_plain_sets(corpora, tmp_path):
    found = compare(CurateCompareConfig(corpora=tuple(corpora), out=tmp_path / "out")).values
    assert [one["name"] for one in found["corpora"]] == ["loose", "strict"]
    assert found["same_inputs"] is True
    for (one, other), said in zip([corpora, corpora[::-1]], found["differences"], strict=True):
        lost = ids(one, "documents") & ids(other, "dropped")
        assert (said["kept_by"], said["dropped_by"], said["documents"]) == (one.name, other.name, len(lost))
        assert (said["pages"], said["unknown"]) == (30, 0)
        dropped = read_tables(other / "dropped")
        rules = pc.value_counts(dropped.filter(pc.is_in(dropped["id"], pa.array(sorted(lost))))["rule"])
        assert said["rules"] == {row["values"]: row["counts"] for row in rules.to_pylist()}
        assert len(said["examples"]) == 3 * len(said["rules"])
        assert {row["id"] for row in said["examples"]} <= lost
    assert [list(one["rules"]) for one in found["differences"]] == [["page_length_filter"], ["exact_duplicate"]]
    page = (tmp_path / "out/report.html").read_text()
    assert "Kept by <bdi>strict</bdi>, dropped by <bdi>loose</bdi>: <code><bdi>exact_duplicate" in page
    assert compare(CurateCompareConfig(corpora=tuple(corpora), out=tmp_path / "out")).reused


def test_corpora_of_other_inputs_share_what_they_share(corpora, tmp_path):
    other = corpus(tmp_path, "other", least=10, dedup=(), texts=40)
    found = compare(CurateCompareConfig(corpora=(other, corpora[0]))).values
    assert found["same_inputs"] is False
    first = found["differences"][0]
    assert (first["pages"], first["unknown"]) == (30, 10)
    assert first["documents"] == len(ids(other, "documents") & ids(corpora[0], "dropped"))


def test_a_stage_that_one_corpus_lacks_has_no_share(corpora):
    shown = compare(CurateCompareConfig(corpora=tuple(corpora))).shown
    assert [row["strict"] for row in shown["kept of the pages read"]][-1] == "–"


def test_what_is_refused(corpora, tmp_path):
    with pytest.raises(InputError, match="twice"):
        CurateCompareConfig(corpora=(corpora[0], corpora[0]))
    with pytest.raises(InputError, match="nothing to be compared"):
        CurateCompareConfig(corpora=(corpora[0],))
    compare(CurateCompareConfig(corpora=tuple(corpora), out=tmp_path / "out"))
    with pytest.raises(InputError, match="kind 'comparison'"):
        compare(CurateCompareConfig(corpora=(corpora[0], tmp_path / "out")))
    with pytest.raises(InputError, match="no manifest"):
        compare(CurateCompareConfig(corpora=(corpora[0], corpora[0].parent)))
