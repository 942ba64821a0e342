"""Files behind http(s) addresses: whether they are there, and loading them onto the disk, going on after lost
connections.

A file grows as `NAME.part` and is renamed when it is whole, so a killed run goes on behind the bytes that it has; the
server's tag of the file (ETag) makes sure that they belong to the same version.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from vlmkit.core.errors import CapabilityError, RunError
from vlmkit.core.io.files import FULL, disk_full, sync
from vlmkit.core.io.progress import log

TRIES, PAUSE_S, LONGEST_PAUSE_S, SILENCE_S = 6, 0.5, 30.0, 60.0
ABSENT = (403, 404, 410)  # S3 answers 403 for what is not there
BUSY = (408, 425, 429, 500, 502, 503, 504)
AT_ONCE, BLOCK = 16, 1 << 20
LOST = (URLError, HTTPException, TimeoutError, ConnectionError)


def sizes(addresses: Sequence[str]) -> list[int | None]:
    """The bytes of each file, 0 where the server does not say; None for a file that is not there.

    Raises:
        CapabilityError: a server does not answer.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(size_of, addresses))


def size_of(address: str) -> int | None:
    """The bytes of one file: see `sizes`."""
    for number in range(TRIES):
        try:
            with ask(address, method="HEAD") as answer:
                return int(answer.headers.get("Content-Length") or 0)
        except HTTPError as error:
            if error.code in ABSENT:
                return None
            if error.code in (405, 501):  # a server that knows no HEAD
                return 0
            fault: Exception = error
            if error.code not in BUSY:
                break
        except LOST as error:
            fault = error
        time.sleep(min(PAUSE_S * 2**number, LONGEST_PAUSE_S))
    raise CapabilityError(f"no answer: {fault}", where=address, fix="check the address and the network; then try again")


def load(address: str, path: Path) -> None:
    """Load a file to a path, unless it is there; what is there of it is not loaded again.

    Raises:
        RunError: the connection was lost `TRIES` times in a row without a byte, or the file is gone.
    """
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part, tries = path.with_name(f"{path.name}.part"), 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if load_on(address, part, before):
                break
            fault = "the connection was lost"
        except HTTPError as error:
            if error.code not in BUSY:
                raise failed(address, str(error)) from error
            fault = str(error)
        except LOST as error:
            fault = str(error)
        tries = 0 if part.exists() and part.stat().st_size > before else tries + 1
        if tries == TRIES:
            raise failed(address, fault)
        if tries:
            log.info("%s: %s; trying again", address, fault)
            time.sleep(min(PAUSE_S * 2**tries, LONGEST_PAUSE_S))
    sync(part)
    os.replace(part, path)


def load_on(address: str, part: Path, have: int) -> bool:
    """Load what is missing behind the `have` bytes of a part; whether the file is whole now."""
    tag = part.with_name(f"{part.name}.tag")
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and tag.is_file():
        headers["If-Range"] = tag.read_text(encoding="latin-1")
    try:
        answer = ask(address, headers)
    except HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range", "").endswith(f"/{have}"):  # all of it is here
            return True
        part.unlink()
        return False
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        if answer.status != 206:
            have = 0
            tag.write_text(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "", encoding="latin-1")
        length = answer.headers.get("Content-Length")
        try:
            while data := answer.read(BLOCK):
                file.write(data)
        except OSError as error:
            if error.errno in FULL:
                raise disk_full(part, error.errno) from error
            raise
    return length is None or part.stat().st_size == have + int(length)


def ask(address: str, headers: dict[str, str] | None = None, method: str = "GET") -> HTTPResponse:
    """The answer of a server."""
    request = Request(address, headers={"User-Agent": "vlmkit", **(headers or {})}, method=method)
    answer: HTTPResponse = urlopen(request, timeout=SILENCE_S)
    return answer


def forget(path: Path) -> None:
    """Remove a loaded file and its tag."""
    for one in (path, path.with_name(f"{path.name}.part.tag")):
        with suppress(FileNotFoundError):
            one.unlink()


def failed(address: str, fault: str) -> RunError:
    """The error for a file that cannot be loaded."""
    fix = "run the same command again: it resumes; or take the file from the list"
    return RunError(f"this file cannot be loaded: {fault}", where=address, fix=fix)
