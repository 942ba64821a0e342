"""How fast items of tasks are looked for on one core: `python benchmarks/decontaminate.py TASKS TEXT…`.

TASKS is a file or folder of task files; texts are cut into documents of 5,000 characters. Seconds are CPU seconds of
one process, the best of five; `str.split` over the same texts is timed beside, since machines differ.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from vlmkit.core.curate.decontaminate import Seeker, build_index, seek
from vlmkit.core.curate.items import read_tasks
from vlmkit.core.curate.survey import Document


def main() -> None:
    """Look, and print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("text", type=Path, nargs="+")
    words = parser.parse_args()
    begun = time.process_time()
    index, looks = build_index(read_tasks([words.tasks]), size=13)
    made = time.process_time() - begun
    whole = "".join(path.read_text(encoding="utf-8", errors="replace") for path in words.text)
    texts = [whole[start : start + 5000] for start in range(0, len(whole), 5000)]
    documents = [Document(row, str(row), "", text, "") for row, text in enumerate(texts)]
    seeker = Seeker(index, threshold=0.5)
    size = len(whole.encode()) / 1e6
    looked = best(lambda: seek(seeker, documents))
    split = best(lambda: [text.split() for text in texts])
    items, testable = sum(look.items for look in looks.values()), sum(len(look.testable) for look in looks.values())
    print(f"{items:,} items, {testable:,} of them testable; {len(index.grams):,} n-grams; index in {made:.1f} s")
    print(f"{size:.1f} MB: {size / looked:.1f} MB/s a core, {split / looked:.2f} x str.split ({size / split:.0f} MB/s)")


def best(work: Callable[[], object]) -> float:
    """The least CPU seconds of five times."""
    spent = []
    for _ in range(5):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return min(spent)


if __name__ == "__main__":
    main()
