"""From the bytes of a page to its text: which encoding, and text that every later step can take."""

import codecs

from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
ESCAPES = (b"\x1b$", b"\x1b(", b"~{")  # ISO-2022 and HZ hide other scripts in ASCII bytes


def decode(data: bytes, charset: str = "") -> str:
    """Text of a page: by its byte order mark, as UTF-8 when it is valid, by the charset that HTTP or a meta tag states,
    by detection; what no encoding explains becomes U+FFFD.

    Valid UTF-8 goes before what is stated: other encodings hardly ever look like it, and wrong statements are common.
    """
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return clean(data[len(mark) :].decode(encoding, "replace"))
    if not any(escape in data for escape in ESCAPES):
        try:
            return clean(data.decode("utf-8"))
        except UnicodeDecodeError:
            pass
    for stated in (known(charset), detect_encoding(data, from_html_meta=True)):
        if stated:
            try:
                return clean(data.decode(stated))
            except (UnicodeDecodeError, LookupError):
                continue
    return clean(bytes_to_str(data, detect_encoding(data) or "utf-8", errors="replace", fallback_encodings=()))


def known(charset: str) -> str:
    """The codec that a browser takes for a stated charset, or nothing for one that does not exist."""
    try:
        codecs.lookup(charset.strip("\"' ") or "?")
    except (LookupError, ValueError):
        return ""
    return map_encoding_to_html5(charset.strip("\"' ")) or ""


def clean(text: str) -> str:
    """Text without null characters, and with U+FFFD in the place of lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
