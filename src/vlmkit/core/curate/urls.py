r"""Addresses: pages dropped for theirs, and addresses removed from texts, as DCLM does both.

`url_removal_modifier` has a fault upstream that the faithful mode keeps: whether a text holds an address at all is
asked with a match at its very beginning, so addresses go only from texts whose first letters happen to spell a
top-level domain ("This", "See"). `fixed` looks everywhere.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from urllib.parse import urlparse

from vlmkit.core.curate.rules import Drop, Found

TLDS = "tlds.txt"
TAIL = r"[-a-zA-Z0-9()@:%_\+.~#?&//=]*"
IPV4 = re.compile(rf"\s{{0,10}}\b((https?|ftp)://)?(?:[0-2]?[0-9]{{1,2}}\.){{3}}[0-2]?[0-9]{{1,2}}{TAIL}")
DOTTED = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.")  # in every IPv4 address
SPACE = re.compile(r"\s")


def shipped_tlds() -> list[str]:
    """The top-level domains of IANA's list (https://www.iana.org/domains/root/db) as DCLM has them: those written from
    right to left carry a mark of direction at their end, so that hardly any text holds them."""
    return resources.files("vlmkit.core.curate").joinpath(TLDS).read_text(encoding="utf-8").splitlines()


class UrlRemoval:
    """Removes addresses with a known top-level domain, and IPv4 addresses, from texts."""

    def __init__(self, tlds: Iterable[str], *, fixed: bool = False) -> None:
        listed = any_of(tlds)
        self._guard = re.compile(listed, re.IGNORECASE)
        self._url = re.compile(
            rf"\s{{0,10}}(?:((https?|ftp)://))?[-a-zA-Z0-9@:%._\+~#=]{{1,256}}\.(?:{listed})\b(?:{TAIL})"
        )
        self._hint = re.compile(rf"\.(?:{listed})\b")
        self._either = re.compile(rf"\.(?:(?:{listed})\b|[0-9]{{1,3}}\.[0-9]{{1,3}}\.)")
        self._fixed = fixed

    def __call__(self, text: str) -> str | Drop:
        if self._fixed or self._guard.match(text):
            text = without(self._url, text, hint=self._hint)
        text = without(IPV4, text, hint=DOTTED)
        return text or Drop("url_removal_modifier", 0, 1)

    def suspects(self, text: str) -> bool:
        """Whether a text may hold an address of either kind."""
        return self._either.search(text) is not None

    def differs(self, text: str) -> bool:
        """Whether the fault matters: there is an address in a text that does not begin as the faithful mode asks."""
        if self._guard.match(text):
            return False
        return any(self._url.search(text[start:end]) for start, end in places(text, self._hint))


class UrlBan:
    """Drops pages whose address holds so many different entries of a ban list, or whose host is one of them."""

    def __init__(
        self, banlist: Sequence[str], *, ignore_chars: Sequence[str] = (), num_banned_substrs: int = 1,
        exact_domain_match: bool = False, match_substrings: bool = True, case_sensitive: bool = False,
    ) -> None:  # fmt: skip
        entries = [one if case_sensitive else one.lower() for one in banlist]
        self._hosts = frozenset(entries) if exact_domain_match else None
        edge = "" if match_substrings else r"\b"
        flags = 0 if case_sensitive else re.IGNORECASE
        self._pattern = None if exact_domain_match else re.compile(f"{edge}(?:{any_of(entries)}){edge}", flags)
        self._ignored, self._least, self._cased = tuple(ignore_chars), num_banned_substrs, case_sensitive

    def __call__(self, url: str) -> Found:
        asked = url if self._pattern else urlparse(url).netloc
        asked = asked if self._cased else asked.lower()
        for chars in self._ignored:
            asked = asked.replace(chars, "")
        if self._hosts is not None:
            return Found("url_substring_filter", asked in self._hosts, high=1, strict=True)
        assert self._pattern is not None
        return Found("url_substring_filter", len(set(self._pattern.findall(asked))), high=self._least, strict=True)


def without(pattern: re.Pattern[str], text: str, *, hint: re.Pattern[str]) -> str:
    """A text without what a pattern matches, looked for only where the hint that is in every match occurs."""
    kept, done = [], 0
    for start, end in places(text, hint):
        kept += [text[done:start], pattern.sub("", text[start:end])]
        done = end
    return "".join([*kept, text[done:]]) if kept else text


def places(text: str, hint: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Where matches may lie: runs without white space in which a hint occurs, with up to ten characters of white space
    before, which is all that an address can be surrounded by."""
    done = 0
    while found := hint.search(text, done):
        start = found.start()
        while start > done and not text[start - 1].isspace():
            start -= 1
        for _ in range(10):
            if start > done and text[start - 1].isspace():
                start -= 1
        space = SPACE.search(text, found.end())
        done = space.start() if space else len(text)
        yield start, done


def any_of(words: Iterable[str]) -> str:
    """A pattern of any of these words, the longest first, that shares what they begin with, so that it is fast."""
    tree: dict[str, dict] = {}
    for word in words:
        node = tree
        for char in word:
            node = node.setdefault(char, {})
        node[""] = {}
    return written(tree)


def written(tree: dict[str, dict]) -> str:
    """The pattern of a tree of characters; an end of a word is tried last."""
    branches = [re.escape(char) + written(tree[char]) for char in sorted(tree) if char]
    if not branches:
        return ""
    joined = branches[0] if len(branches) == 1 and "" not in tree else f"(?:{'|'.join(branches)})"
    return joined + "?" * ("" in tree)
