"""Suggestions name what is near, or what there is."""

from vlmkit.core.errors import InputError, nearest


def test_nearest():
    assert nearest("txt", ["text", "url"]) == "did you mean 'text'?"
    assert nearest("zzz", ["text", "url"]) == "one of: text, url"
    assert nearest("zzz", []) == ""


def test_all_three_lines_are_in_the_text():
    assert str(InputError("a", where="b", fix="c")) == "a; b; c"
    assert InputError("a").code == 2
