"""Docstrings as blocks."""

import pytest

from vlmkit.core.samples.prose import Block, blocks, html, sentences, split_sentences


def test_numpy_style_becomes_headings_and_definitions():
    doc = """Find peaks inside a signal.

    Parameters
    ----------
    x : sequence
        A signal with ``peaks``.
    height : number, optional
        Required height,
        see :func:`~scipy.signal.find_peaks`.

    Examples
    --------
    >>> 1 + 1
    2
    """
    assert blocks(doc) == [
        Block("p", "Find peaks inside a signal."),
        Block("h", "Parameters"),
        Block("dt", "x : sequence"),
        Block("dd", "A signal with peaks."),
        Block("dt", "height : number, optional"),
        Block("dd", "Required height, see scipy.signal.find_peaks."),
        Block("h", "Examples"),
        Block("pre", ">>> 1 + 1\n2"),
    ]


def test_google_style_sections_are_told_apart_although_no_line_is_blank():
    doc = "Add.\nArgs:\n    a (int): The first.\n    b (int): The second.\nReturns:\n    The sum of both."
    assert [block.kind for block in blocks(doc)] == ["p", "h", "dt", "dt", "h", "p"]
    assert [block.text for block in blocks(doc) if block.kind == "h"] == ["Args", "Returns"]


def test_what_a_colon_announces_and_stands_deeper_is_code():
    assert blocks("Write::\n\n    x = 1\n\n    y = 2\n\nDone.") == [
        Block("p", "Write:"),
        Block("pre", "x = 1"),
        Block("pre", "y = 2"),
        Block("p", "Done."),
    ]


def test_lists_keep_their_items_apart():
    assert blocks("* one\n  goes on\n* two") == [Block("li", "one goes on"), Block("li", "two")]


def test_html_groups_items_and_escapes():
    page = [Block("li", "a < b"), Block("li", "c"), Block("p", "d & e")]
    assert html(page) == "<ul>\n<li>a &lt; b</li>\n<li>c</li>\n</ul>\n<p>d &amp; e</p>"


@pytest.mark.parametrize(
    ("text", "count"),
    [("It works. It does.", 2), ("See e.g. Brown for it. Then go on.", 2), ("Version 3.11 is new.", 1), ("", 0)],
)
def test_sentences_end_where_a_reader_would_end_them(text, count):
    assert len(split_sentences(text)) == count


def test_sentences_are_whole_and_made_of_words():
    page = [Block("p", "This is a whole sentence of words. Short one. Here is another sentence of enough words.")]
    assert list(sentences(page)) == [["This is a whole sentence of words."]]
