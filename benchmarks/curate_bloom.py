"""BFF's `old-both` as a process, to set beside dolma's: `python benchmarks/curate_bloom.py FILE.json.gz`."""

import gzip
import io
import json
import sys
from pathlib import Path

from vlmkit.core.curate.bloom import Filter, OldBoth, count_ngrams

RATE = 0.01


def main() -> None:
    """Read the documents, count their n-grams, take them through the filter; prints how many paragraphs went."""
    print(old_both(read_written(Path(sys.argv[1]))))


def read_written(path: Path) -> list[str]:
    """The texts of a file for dolma."""
    with io.BufferedReader(gzip.open(path), 1 << 20) as file:  # type: ignore[arg-type]
        return [json.loads(line)["text"] for line in file]


def old_both(texts: list[str]) -> int:
    """The n-grams are counted, then the texts go through a filter of that size; how many paragraphs went."""
    judge = OldBoth(Filter(sum(map(count_ngrams, texts)), rate=RATE))
    for text in texts:
        judge(text)
    return judge.removed


if __name__ == "__main__":
    main()
