"""A small made-up web: pages in the dress of four sites, with what real crawls bring along.

Navigation, cookie lines and footers differ by site. Some pages stand under two addresses, on a mirror, or in a print
version with small edits; a few are in other languages, empty, lists of links, code, or the same sentence over and over.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from vlmkit.core.io.warc import Response
from vlmkit.core.samples import prose
from vlmkit.core.samples.foreign import FOREIGN
from vlmkit.core.samples.sources import Page, rank


@dataclass(frozen=True)
class Site:
    """A host and its dress."""

    host: str
    title: str
    navigation: tuple[str, ...]
    cookie: str
    footer: str
    sidebar: bool = False


SITES = (
    Site(
        "docs.snakehouse.example",
        "Snakehouse Documentation",
        ("Home", "Tutorials", "Reference", "How-to guides", "Download", "Community"),
        "We use cookies to improve your experience. By continuing you agree to our cookie policy. Accept | Decline",
        "Copyright © 2024 Snakehouse Foundation. All rights reserved. Privacy | Terms of use | Contact",
        sidebar=True,
    ),
    Site(
        "www.module-index.example",
        "The Module Index",
        ("Browse", "Search", "New today", "Log in", "Sign up"),
        "This site uses cookies.",
        "Powered by ModuleIndex 4.2 · Report a bug · Imprint",
    ),
    Site(
        "manual.bytesmith.example",
        "Bytesmith Manual",
        ("Manual", "Blog", "Jobs", "Shop"),
        "Cookies help us to show you what you like. Read more. Got it!",
        "Follow us · Share this page · Subscribe to our newsletter and never miss an update",
        sidebar=True,
    ),
    Site(
        "reading-room.example",
        "The Reading Room",
        ("Index", "About"),
        "",
        "Rendered from installed documentation. No rights reserved in the layout.",
    ),
)
STYLE = "body{font-family:sans-serif;margin:0}nav a{padding:0 1em}.side{float:left;width:14em}main{margin:2em}"
SCRIPT = "window.stats=window.stats||[];stats.push({page:location.pathname,theme:'light'});"


def visit(pages: Sequence[Page], rendered: dict[str, str]) -> Iterator[Response]:
    """All responses: every page once, copies of some, then the poor and the foreign ones.

    `rendered` holds pages whose inner HTML pydoc has made, by name.
    """
    names = [*(page.name for page in pages), *rendered]
    for number, page in enumerate(pages):
        links = [names[(number + step) % len(names)] for step in range(1, 8)]
        yield from _with_copies(page.name, page.title, prose.html(page.blocks), links)
    for number, (name, inner) in enumerate(rendered.items()):
        links = [names[(number * 5 + step) % len(names)] for step in range(1, 8)]
        yield from _with_copies(f"library.{name}", f"Python: module {name}", inner, links)
    yield from _poor(pages)
    for language, charset, title, paragraphs in FOREIGN:
        body = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
        dressed = dress(SITES[3], title, body, [], language=language, charset=charset)
        body_bytes = dressed.encode(charset, "xmlcharrefreplace")
        yield Response(f"https://{language}.reading-room.example/1.html", body_bytes, f"text/html; charset={charset}")


def dress(
    site: Site, title: str, inner: str, links: Sequence[str], *, language: str = "en", charset: str = "utf-8"
) -> str:
    """A page of a site: `inner` is its content, `links` the names of related pages."""
    menu = " ".join(f'<a href="/{item.lower().replace(" ", "-")}">{item}</a>' for item in site.navigation)
    related = "".join(f'<li><a href="/{name.replace(".", "/")}.html">{escape(name)}</a></li>' for name in links)
    side = f'<aside class="side"><h4>Related modules</h4><ul>{related}</ul></aside>' if related else ""
    cookie = f'<div class="cookie-banner" role="dialog">{site.cookie}</div>' if site.cookie else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="{charset}">'
        f"<title>{escape(title)} – {site.title}</title>\n"
        f"<style>{STYLE}</style><script>{SCRIPT}</script></head>\n<body>{cookie}\n"
        f'<header><a href="/">{site.title}</a><nav>{menu}</nav></header>\n{side if site.sidebar else ""}\n'
        f"<main><h1>{escape(title)}</h1>\n{inner}\n</main>\n{'' if site.sidebar else side}\n"
        f'<footer><a href="#top">Back to top</a><p>{site.footer}</p></footer></body></html>\n'
    )


def _with_copies(name: str, title: str, inner: str, links: Sequence[str]) -> Iterator[Response]:
    """The page, and for one in eight a copy: another address, a mirror, or a print version."""
    number = rank(name)
    site, path = SITES[number % len(SITES)], name.replace(".", "/")
    page = dress(site, title, inner, links)
    yield Response(f"https://{site.host}/{path}.html", page.encode())
    kind = number // 97 % 24
    if kind == 0:
        yield Response(f"https://{site.host}/{path}.html?utm_source=feed", page.encode())
    elif kind == 1:
        mirror = SITES[(number + 1) % len(SITES)]
        yield Response(f"https://{mirror.host}/mirror/{path}.html", dress(mirror, title, inner, links).encode())
    elif kind == 2:
        yield Response(f"https://{site.host}/print/{path}.html", _print_version(site, title, inner).encode())


def _print_version(site: Site, title: str, inner: str) -> str:
    """The bare text with small edits: spelt-out numbers, another dash, a line of its own at either end."""
    edited = re.sub(r"\btwo\b", "2", inner).replace(" - ", " – ").replace("e.g.", "for example")
    return (
        f"<html><head><title>{escape(title)} (print)</title></head><body><p>Printed from {site.title}.</p>\n"
        f"<h1>{escape(title)}</h1>\n{edited}\n"
        "<p>This printout may be out of date; the page on the web holds.</p></body></html>\n"
    )


def _poor(pages: Sequence[Page]) -> Iterator[Response]:
    """Pages without prose, as every crawl has them: about one for every sixty good ones."""
    site = SITES[1]
    for number, start in enumerate(range(0, len(pages), 120), start=1):
        some = pages[start : start + 120]
        items = "".join(f'<li><a href="/{page.name}.html">{escape(page.name)}</a></li>' for page in some)
        yield _poor_page(site, f"index/{number}", f"All modules, page {number}", f"<ul>{items}</ul>")
        code = "\n".join(block.text for page in some for block in page.blocks if block.kind == "pre")[:6000]
        yield _poor_page(site, f"source/{number}", f"Source listing {number}", f"<pre>{escape(code)}</pre>")
    walls = {
        "login": "<p>Please log in to continue.</p>",
        "script": "<noscript>JavaScript must be enabled in order to use this site.</noscript><div id='app'></div>",
        "empty": "",
        "moved": '<p>This page has moved <a href="/">here</a>.</p>',
        "offer": "<p>Download now for free! Click here to download the newest version of the manual.</p>" * 60,
        "table": "<table>"
        + "".join(f"<tr><td>{n}</td><td>{n * n}</td><td>{n**3}</td></tr>" for n in range(300))
        + "</table>",
        "filler": "<p>Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor.</p>" * 8,
    }
    for name, inner in walls.items():
        yield _poor_page(site, name, name.capitalize(), inner)


def _poor_page(site: Site, path: str, title: str, inner: str) -> Response:
    return Response(f"https://{site.host}/{path}.html", dress(site, title, inner, []).encode())
