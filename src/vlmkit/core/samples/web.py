"""The sample web as a whole: which pages there are, which of them are shown, and which are kept for the tasks."""

from collections import Counter
from dataclasses import dataclass

from vlmkit.core.io.progress import log, progress
from vlmkit.core.samples.live import library_modules, render
from vlmkit.core.samples.sources import Page, held_out, packages, rank, topics

PACKAGE_SHARE = 0.14  # of all pages: no package may fill the web
LIVE_SHARE = 0.2  # of all pages: those that pydoc renders from imported modules


@dataclass(frozen=True)
class Web:
    """`shown` and `kept` pages, and the names of library modules that are shown as pydoc renders them."""

    shown: tuple[Page, ...]
    kept: tuple[Page, ...]
    library: tuple[str, ...]


def choose(count: int) -> Web:
    """About `count` different pages, the same ones every time; one in ten is kept out."""
    library = sorted(library_modules(), key=rank)[: int(count * LIVE_SHARE)]
    pages = sorted(topics(), key=lambda page: rank(page.name))[: count // 4]
    wanted = count - len(library)
    seen: Counter[str] = Counter()
    for page in packages():
        if len(pages) >= wanted:
            break
        package = page.name.partition(".")[0]
        if seen[package] < max(2, PACKAGE_SHARE * count):
            seen[package] += 1
            pages.append(page)
            progress("reading documentation", len(pages), wanted, "pages")
    if len(pages) < 0.8 * wanted:
        log.warning("only %d of %d pages: no more documentation is installed here", len(pages) + len(library), count)
    return Web(
        shown=tuple(page for page in pages if not held_out(page.name)),
        kept=tuple(page for page in pages if held_out(page.name)),
        library=tuple(name for name in library if not held_out(f"library.{name}")),
    )


def rendered(web: Web) -> dict[str, str]:
    """The inner HTML of the library's pages, by module name, in order."""
    found = render(web.library)
    return {name: found[name] for name in web.library if name in found}
