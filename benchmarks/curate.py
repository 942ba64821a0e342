"""How fast curation is on one core, and how much memory it holds: `python benchmarks/curate.py INPUT [--times N]`.

The input is repeated N times under other names, so that memory can be seen not to grow with it. Seconds are CPU seconds
of one process. Prints one line a stage and one for the whole.
"""

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.io.sources import find_sources, plan_parts
from vlmkit.core.io.web import Page, Reading, read_slice
from vlmkit.core.recipes.curate import run


def main() -> None:
    """Curate and print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("--times", type=int, default=1)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "in"
        folder.mkdir()
        for number in range(words.times):
            shutil.copy(words.input, folder / f"{number:03d}-{words.input.name}")
        size = pages = 0
        for part in plan_parts(find_sources([words.input])):
            for piece in part:
                for page in read_slice(piece, Reading()):
                    if isinstance(page, Page):
                        pages += words.times
                        size += words.times * len(page.html or (page.text or "").encode())
        begun = time.process_time()
        result = run(CurateConfig(inputs=(folder,), out=Path(scratch) / "out", workers=1))
        seconds = time.process_time() - begun
    for stage in result.values["stages"]:  # type: ignore[attr-defined]
        print(f"{stage['name']:12} kept {stage['kept']:7,} dropped {stage['dropped']:7,} {stage['seconds']:8.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{pages:,} pages, {size / 1e6:.1f} MB of HTML or text, {seconds:.2f} CPU seconds on one core:")
    print(f"{pages / seconds:.0f} pages/s, {size / 1e6 / seconds:.1f} MB/s; peak resident memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
