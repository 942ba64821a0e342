"""What users bring as web data, read page by page: archives, HTML files, JSON Lines, parquet and text.

Every reader gives pages and, for what cannot be read, `Damage` with file, place and reason; none of them stops at a
damaged record, and none keeps more than one page in memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vlmkit.core.io.archives import MAX_RECORD, Record, read_archive
from vlmkit.core.io.encodings import decode
from vlmkit.core.io.http import MAX_BODY, Response, parse_response
from vlmkit.core.io.inflate import Damage, pieces
from vlmkit.core.io.records import Fields, read_json, read_parquet, whole
from vlmkit.core.io.remote import load
from vlmkit.core.io.sources import Slice, Source, fault_of
from vlmkit.core.io.stream import Stream

HTML = ("text/html", "application/xhtml+xml")
KEPT_HEADERS = ("warc-date", "warc-record-id", "warc-truncated", "content-language", "last-modified")
SKIPPED_KINDS = {"warcinfo", "request", "metadata", "revisit", "arc_header", "continuation"}  # no pages by definition


@dataclass(slots=True)
class Page:
    """One page as it comes: the bytes of its HTML, or its text."""

    source: str
    offset: int  # place in the file: bytes, or for tables the row
    id: str | None = None
    url: str | None = None
    html: bytes | None = None
    text: str | None = None
    charset: str = ""
    metadata: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """How inputs are read: the column that holds the text, and what one document of a text file is."""

    text_column: str = "text"
    text_unit: str = "block"


def read_slice(part: Slice, reading: Reading) -> Iterator[Page | Damage]:
    """Pages of a slice of a file, in order, and what of it cannot be read; a file behind an address is loaded first."""
    source, empty = part.source, True
    if source.address:
        load(source.address, source.path)
        part = part._replace(source=source._replace(size=source.path.stat().st_size))
    for page in pages_of(part, reading):
        empty = False
        if isinstance(page, Page) and page.html is not None and len(page.html) > MAX_BODY:
            yield Damage(source.name, page.offset, "too_long", f"{len(page.html):,} bytes of HTML are not parsed")
        else:
            yield page
    if empty and source.format in ("json", "text") and (part.start, part.stop) == (0, None):
        yield Damage(source.name, 0, "empty_file", "the file holds no document")


def pages_of(part: Slice, reading: Reading) -> Iterator[Page | Damage]:
    """Pages of a slice of a file as it is."""
    if part.source.size == 0 and part.source.format not in ("html", "parquet", "none"):  # these speak for themselves
        return iter([Damage(part.source.name, 0, "empty_file", "the file has no bytes")])
    match part.source.format:
        case "archive":
            return archive_pages(part)
        case "html":
            return html_page(part.source)
        case "none":
            return iter([Damage(part.source.name, 0, "no_file", fault_of(part.source.path))])
        case "json":
            return table_pages(read_json(part.source, part.start, part.stop), part.source.name, reading)
        case "parquet":
            return table_pages(read_parquet(part.source, part.start, part.stop), part.source.name, reading)
        case _:
            return text_pages(part.source, reading.text_unit)


def archive_pages(part: Slice) -> Iterator[Page | Damage]:
    """Pages of a WARC or ARC file; responses that are no page are reported with the reason."""
    source = part.source
    for record in read_archive(source.path, source.name, start=part.start, stop=part.stop):
        if isinstance(record, Damage):
            yield record
        elif record.kind not in SKIPPED_KINDS and not record.url.startswith("metadata:"):  # wget's own log and words
            yield from record_pages(record, source.name)


def record_pages(record: Record, name: str) -> Iterator[Page | Damage]:
    """The page in one archive record, or why there is none."""
    converted = record.kind == "conversion"  # as in WET files: text, whatever it begins with
    response = Response(0, {}, record.block, "") if converted else parse_response(record.block)
    if response.problem:
        reason = f"{record.url}: {response.problem}; {len(response.body):,} bytes of it are read"
        yield Damage(name, record.offset, "damaged_body", reason)
    stated = stated_type(record, response)
    kind = stated.partition(";")[0].strip().lower()
    if response.status and not 200 <= response.status < 300:
        yield Damage(name, record.offset, "http_status", f"{record.url}: status {response.status}")
    elif not response.body.strip():
        yield Damage(name, record.offset, "empty_page", f"{record.url}: the body is empty")
    elif kind in HTML or looks_like_html(response.body, kind):
        yield page_of(record, response.headers | {"content-type": stated}, name, html=response.body)
    elif kind == "text/plain":
        text = decode(response.body, charset_of(stated))
        yield page_of(record, response.headers | {"content-type": stated}, name, text=text)
    else:
        yield Damage(name, record.offset, "content_type", f"{record.url}: {kind or 'unknown'} is no text of a page")


def stated_type(record: Record, response: Response) -> str:
    """The Content-Type of what a record holds: the response's own, else the record's."""
    own = record.headers.get("content-type", "")
    identified = record.headers.get("warc-identified-payload-type", "")
    return response.headers.get("content-type") or ("" if own.startswith("application/http") else own) or identified


def page_of(
    record: Record, headers: dict[str, str], name: str, *, html: bytes | None = None, text: str | None = None
) -> Page:
    """A page from an archive record."""
    both = {**record.headers, **headers}
    metadata: dict[str, object] = {key: both[key] for key in KEPT_HEADERS if key in both}
    charset = charset_of(headers["content-type"])
    return Page(name, record.offset, None, record.url or None, html, text, charset, metadata)


def charset_of(content_type: str) -> str:
    """The charset that a Content-Type states."""
    _, found, rest = content_type.lower().partition("charset=")
    return rest.partition(";")[0].strip("\"' ") if found else ""


def looks_like_html(body: bytes, kind: str) -> bool:
    """Whether a body of no stated type begins as HTML does."""
    if kind not in ("", "unknown", "no-type", "unk", "application/octet-stream"):
        return False
    head = body[:2048].lower()
    return any(mark in head for mark in (b"<!doctype html", b"<html", b"<head", b"<body"))


def html_page(source: Source) -> Iterator[Page | Damage]:
    """The page of an HTML file."""
    data, damages = whole(source)
    yield from damages
    if data.strip():
        yield Page(source.name, 0, html=data)
    elif not damages:
        yield Damage(source.name, 0, "empty_page", "the file is empty")


def text_pages(source: Source, unit: str) -> Iterator[Page | Damage]:
    """Documents of a text file: the file, its blocks between blank lines, or its lines."""
    name = source.name
    if unit == "file":
        data, damages = whole(source)
        yield from damages
        yield Page(name, 0, text=decode(data).strip())
        return
    stream = Stream(pieces(source.path, name))
    lines: list[bytes] = []
    begin = 0
    while True:
        offset = stream.offset()[0]
        line = stream.line(limit=MAX_RECORD)
        if lines and (unit == "line" or not line.strip()):
            yield Page(name, begin, text=decode(b"".join(lines)).strip())
            lines = []
        if line.strip():
            begin = begin if lines else offset
            lines.append(line)
        if not line:
            gap = stream.take_gap()
            if gap is None:
                return
            yield gap


def table_pages(rows: Iterator[Fields | Damage], name: str, reading: Reading) -> Iterator[Page | Damage]:
    """Documents of a JSON Lines or parquet file."""
    for row in rows:
        yield row if isinstance(row, Damage) else from_fields(row, name, reading)


def from_fields(row: Fields, name: str, reading: Reading) -> Page | Damage:
    """A page from named values: `text` (or the column asked for) or `html`; the rest is kept as metadata."""
    values = dict(row.values)
    text, html = values.pop(reading.text_column, None), values.pop("html", None)
    page = Page(name, row.place)
    if isinstance(text, str):
        page.text = text
    elif isinstance(html, str | bytes):
        page.html = html.encode("utf-8", "replace") if isinstance(html, str) else html
    else:
        found = ", ".join(str(key)[:40] for key in list(row.values)[:8]) or "nothing"
        reason = f"{row.where}: no text under '{reading.text_column}' (it has: {found})"
        return Damage(name, row.place, "no_text", reason)
    given, url, source = values.pop("id", None), values.pop("url", None), values.pop("source", None)
    page.id = None if given is None or given == "" else str(given)
    page.url = url if isinstance(url, str) and url else None
    if isinstance(source, str) and source:
        page.source = source
    page.metadata = {**row.metadata(values.pop("metadata", None)), **values}
    address = page.metadata.get("WARC-Target-URI")
    if page.url is None and isinstance(address, str):
        page.url = address
    return page


def estimate_pages(parts: Sequence[Slice], reading: Reading, *, sample: int = 50) -> int | None:
    """About how many pages slices hold, from the first ones of the largest file; None where that tells nothing."""
    piece = max(parts, key=lambda one: one.source.size)
    if piece.source.format not in ("archive", "json", "text") or piece.source.address:
        return None
    places = []
    for found in read_slice(piece, reading):
        if isinstance(found, Page):
            places.append(found.offset)
        if len(places) > sample:
            size = sum(source.size for source in {one.source for one in parts})
            return round(size * sample / max(places[-1] - places[0], 1))
    return len(places)
