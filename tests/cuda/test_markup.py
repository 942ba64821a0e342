"""The compiled scan of HTML gives what plain Python gives, of any page."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit.cuda import markup
from vlmkit.cuda.build import load

PIECES = [
    *" \t\n\r\f\v\x1c\xa0\x00<>/=!?'\"&-aB1é漢\u3000\ud800\U0001f469",
    *("text", "  two words ", "&amp;", "&#x0b;", "&nbsp;", "\n\n", "x" * 40, "漢" * 9),
    *("<p>", "</p>", "<P class='a>b'>", '<p a="b" c=\'', '<div id = "x">', "</div>", "<div", "</DIV >", "<section/>"),
    *("<a href=x>", "<A>", "</a>", "<br/>", "<br>", "</br>", "<hr>", "<body>", "</body>", "<embed x>", "<b>", "</b>"),
    *(
        "<pre>",
        "</pre>",
        "<xmp>",
        "</xmp>",
        "<script>",
        "</script",
        "</SCRIPT\n>",
        "</scripts>",
        "<style>",
        "</style/>",
    ),
    *("<title>a<b</title>", "<select>", "</select>", "<noscript>", "<math>", "</math>", "<textarea", "</textarea>"),
    *("<ul>", "<ol>", "<li>", "</li>", "</ul>", "<dl>", "<dt>", "<dd>", "<table>", "<tbody>", "<tr>", "<td>", "<th>"),
    *("</table>", "<option>", "<article>", "<blockquote>", "<x-y>", "</x-y>", "<h1>", "</h1>", "<ruby>", "<rt>"),
    *("</rt>", "</ruby>", "<rp>", "<!--", "-->", "--", "<!-->", "<!--->", "<!- x>", "<!doctype html>", "<?php ?>"),
    *("</>", "</ x>", "< p>", "<é>", "<aé>", "</aİ>", "<K>", "<x<y>", "<p=a>", "<p =>", "<p a= >", "<p a='", '<p a="'),
]
pages = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text("<>/ap\"'=-! é", max_size=60)

needs_compiler = pytest.mark.skipif(load("markup", "cpu") is None, reason="there is no C++ compiler")


def parts(tree):
    return tree.tags, tree.parents, tree.attributes, tree.blocks


@needs_compiler
@settings(max_examples=1500, deadline=None)
@given(pages)
def test_a_page_is_cut_as_plain_python_does(html):
    ours = markup.compiled_scan(html)
    plain = markup.reference_scan(html)
    if ours is None:  # left to Python, as it may be for one reason alone
        assert not "".join(plain.tags).isascii() or not html.isascii()
    else:
        assert parts(ours) == parts(plain)


@needs_compiler
def test_names_beyond_ascii_and_nothing_else_are_left_to_python():
    assert markup.compiled_scan("<p>é 漢 \ud800</p>") is not None
    assert markup.compiled_scan("<é>") is not None  # no tag at all
    assert markup.compiled_scan("<aé>b</aé>") is None
    assert markup.scan("<aÉ>b</aÉ>").tags == ["body", "aé"]


@needs_compiler
def test_many_names_and_deep_trees():
    names = [f"n{k}" for k in range(2000)]
    html = "".join(f"<{name}>{name} " for name in names) + "".join(f"</{name}>" for name in reversed(names))
    assert parts(markup.compiled_scan(html)) == parts(markup.reference_scan(html))


def test_blocks_by_hand():
    tree = markup.scan("<ul><li>one <b>two</b><li><a>three</a> &amp; four<br>five</ul>tail")
    assert tree.tags == ["body", "ul", "li", "li"]
    assert tree.parents == [-1, 0, 1, 1]
    assert [(block.element, block.text, block.linked) for block in tree.blocks] == [
        (2, "one two", 0),
        (3, "three & four\nfive", 5),
        (0, "tail", 0),
    ]
