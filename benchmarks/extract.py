"""Main text of real pages: vlmkit, resiliparse and, where installed, trafilatura, in one run on one core.

    python benchmarks/extract.py [--data ../shared/data]

News pages are scored as scrapinghub's article-extraction-benchmark does (4-token shingles; precision and recall
averaged over pages, F1 of the averages), the others as trafilatura's evaluation does (phrases that must and must not be
found). trafilatura needs the packages trafilatura and lxml_html_clean.
Halves are by the last bit of the first byte of SHA-256 of the address: 0 is the half that vlmkit's rules were made on,
1 is held out. Seconds are CPU seconds, without the detection of encodings.
"""

import argparse
import hashlib
import importlib.util
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote

from resiliparse.extract.html2text import extract_plain_text

from vlmkit.core.curate.main_text import main_text
from vlmkit.core.io.encodings import decode
from vlmkit.core.io.sources import find_sources, plan_parts
from vlmkit.core.io.web import Page, Reading, read_slice

Texts = Mapping[str, str]
Score = tuple[float, float, float]


def pages(archive: Path) -> dict[str, str]:
    """HTML of each page of an archive, by address."""
    found = {}
    for part in plan_parts(find_sources([archive])):
        for piece in part:
            for page in read_slice(piece, Reading()):
                if isinstance(page, Page):
                    found[page.url] = decode(page.html or b"", page.charset)
    return found


def address(url: str) -> str:
    """An address, however its white space is written."""
    return unquote(url).strip()


def held_out(url: str) -> bool:
    """Whether a page belongs to the half on which nothing was chosen."""
    return bool(hashlib.sha256(url.encode()).digest()[0] & 1)


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """Runs of 4 tokens, counted; a shorter text is one run."""
    tokens = re.findall(r"\w+", text)
    return Counter(tuple(tokens[k : k + 4]) for k in range(max(1, len(tokens) - 3)))


def score_articles(texts: Texts, truth: Mapping[str, str]) -> Score:
    """F1, precision and recall of the shingles of each text, averaged over texts."""
    precision = recall = 0.0
    for url, text in texts.items():
        wanted, found = shingles(truth[address(url)]), shingles(text)
        common = (wanted & found).total()
        precision += common / found.total()
        recall += common / wanted.total()
    return f1(precision / len(texts), recall / len(texts))


def score_phrases(texts: Texts, phrases: Mapping[str, Mapping[str, list[str]]]) -> Score:
    """F1, precision and recall of phrases: right are those of `with` that are found, wrong those of `without`."""
    right = sum(phrase in text for url, text in texts.items() for phrase in phrases[address(url)]["with"])
    wrong = sum(phrase in text for url, text in texts.items() for phrase in phrases[address(url)]["without"])
    return f1(right / max(right + wrong, 1), right / sum(len(phrases[address(url)]["with"]) for url in texts))


def f1(precision: float, recall: float) -> Score:
    """F1 and what it is made of."""
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall


def sets(data: Path) -> dict[str, tuple[dict[str, str], Callable[[Texts], Score]]]:
    """Both sets of pages, each with its score."""
    truth = {address(url): text for url, text in json.loads((data / "web/ground-truth.json").read_text()).items()}
    phrases = {address(url): row for url, row in json.loads((data / "web-segments/segments.json").read_text()).items()}
    return {
        "news": (pages(data / "web/pages.warc.gz"), lambda texts: score_articles(texts, truth)),
        "segments": (pages(data / "web-segments/pages.warc.gz"), lambda texts: score_phrases(texts, phrases)),
    }


def extractors() -> dict[str, Callable[[str], str]]:
    """What there is to compare."""
    found: dict[str, Callable[[str], str]] = {
        "resiliparse": lambda html: extract_plain_text(html, main_content=True, links=False, alt_texts=False),
        "vlmkit": main_text,
    }
    if all(importlib.util.find_spec(name) for name in ("trafilatura", "lxml_html_clean")):
        trafilatura = importlib.import_module("trafilatura")
        found["trafilatura"] = lambda html: trafilatura.extract(html) or ""
    return found


def main() -> None:
    """Print a row for each set and extractor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    words = parser.parse_args()
    print("set       extractor    half      pages     F1      P      R  pages/s  of resiliparse")
    for name, (html, score) in sets(words.data).items():
        peer = 0.0
        for extractor, extract in extractors().items():
            begun = time.process_time()
            texts = {url: extract(page) for url, page in html.items()}
            speed = len(html) / (time.process_time() - begun)
            peer = peer or speed
            for half in ("dev", "held out", "all"):
                chosen = {u: t for u, t in texts.items() if half == "all" or held_out(u) == (half == "held out")}
                figures = " ".join(f"{value:.4f}" for value in score(chosen))
                print(f"{name:9} {extractor:12} {half:9} {len(chosen):5} {figures} {speed:8.0f} {speed / peer:8.2f}")


if __name__ == "__main__":
    main()
