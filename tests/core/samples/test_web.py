"""The sample web and its tasks, in small."""

import gzip
import re

import pytest

from vlmkit.core.io.warc import Response, write_warc
from vlmkit.core.samples import live, site, sources, tasks, web


@pytest.fixture(scope="module")
def chosen():
    return web.choose(120)


def test_one_page_in_ten_is_held_out_by_its_name_alone():
    names = [f"package.module{number}" for number in range(5000)]
    assert 0.08 < sum(map(sources.held_out, names)) / len(names) < 0.12


def test_shown_and_kept_pages_share_no_name_and_are_the_same_every_time(chosen):
    assert chosen.shown
    assert chosen.kept
    assert not {page.name for page in chosen.shown} & {page.name for page in chosen.kept}
    assert not any(sources.held_out(f"library.{name}") for name in chosen.library)
    assert web.choose(120) == chosen


def test_pages_are_english_prose_of_some_length(chosen):
    characters = sum(len(block.text) for page in chosen.shown for block in page.blocks if block.kind == "p")
    assert characters / len(chosen.shown) > 500


def test_pydoc_pages_hold_no_address_and_no_path_of_this_machine():
    pages = live.render(["json.decoder", "os", "sys", "tempfile", "no_such_module"])
    assert set(pages) == {"json.decoder", "os", "sys", "tempfile"}
    assert "JSONDecoder" in pages["json.decoder"]
    for text in pages.values():
        assert not re.search(r" at 0x[0-9a-f]{6}", text)
        assert "file:" not in text
        assert "environ({" not in text


@pytest.mark.parametrize(
    "name", ["this", "antigravity", "idlelib.run", "test.support", "turtle", "__main__", "tkinter"]
)
def test_modules_with_side_effects_are_never_imported(name):
    assert live.SKIPPED.search(name)
    assert name not in live.library_modules()


def test_the_web_holds_copies_other_languages_and_poor_pages(chosen):
    responses = list(site.visit(chosen.shown, {"json": "<p>pydoc</p>"}))
    urls = [response.url for response in responses]
    assert len(urls) == len(set(urls)), "an address stands for one page"
    bodies = [response.body for response in responses]
    assert len(set(bodies)) < len(bodies), "some pages stand under two addresses"
    assert any("/print/" in url for url in urls)
    assert any("/mirror/" in url for url in urls)
    german = next(response for response in responses if "//de." in response.url)
    assert "ä" in german.body.decode("iso-8859-1")
    assert german.content_type == "text/html; charset=iso-8859-1"
    assert len({url.split("/")[2] for url in urls}) >= 4


def test_warc_records_are_members_of_their_own_with_right_lengths(tmp_path):
    pages = [Response("https://a.example/1", b"<p>one</p>"), Response("https://a.example/2", "zwölf".encode())]
    assert write_warc(tmp_path / "a.warc.gz", pages, software="test") == 2
    assert write_warc(tmp_path / "b.warc.gz", pages, software="test") == 2
    raw = (tmp_path / "a.warc.gz").read_bytes()
    assert raw.count(b"\x1f\x8b\x08") == 3
    assert raw.replace(b"a.warc.gz", b"") != b""
    text = gzip.decompress(raw)
    assert text.count(b"WARC/1.1\r\n") == 3
    warcio = pytest.importorskip("warcio.archiveiterator")
    with (tmp_path / "a.warc.gz").open("rb") as file:
        found = [
            (record.rec_headers["WARC-Target-URI"], record.content_stream().read())
            for record in warcio.ArchiveIterator(file, check_digests="raise")
            if record.rec_type == "response"
        ]
    assert found == [(page.url, page.body) for page in pages]


def test_tasks_have_the_forms_of_dclm_and_right_answers(chosen):
    made = tasks.make_tasks(chosen.shown, shown=[], rows=20)
    assert len(made) >= 4
    assert tasks.make_tasks(chosen.shown, shown=[], rows=20) == made
    for name, rows in made.items():
        assert len(rows) == 20, name
        for row in rows:
            assert set(row) in (
                {"query", "choices", "gold"},
                {"context", "continuation"},
                {"context_options", "continuation", "gold"},
            )
    for row in made["pages_last_word"]:
        assert re.search(rf"\b{row['continuation']}\b", row["context"])
    for row in made["pages_next_sentence"]:
        assert len(set(row["choices"])) == 4
        assert 0 <= row["gold"] < 4
    golds = [row["gold"] for row in made["pages_next_sentence"]]
    assert len(set(golds)) > 1, "the right answer does not always stand at the same place"


def test_tasks_use_nothing_that_is_shown(chosen):
    made = tasks.make_tasks(chosen.shown, shown=chosen.shown, rows=20)
    assert not any(made.values())
