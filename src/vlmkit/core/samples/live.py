"""Pages of the standard library as pydoc renders them, from modules imported in a process of their own.

That process sees an empty environment and no installed packages, so what modules do when imported stays there; what
differs between machines (addresses, paths, the values of data) is left out of the pages.
"""

import contextlib
import importlib
import io
import json
import pydoc
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import vlmkit
from vlmkit.core.io.progress import log
from vlmkit.core.samples import prose

SKIPPED = re.compile(
    r"(^|\.)(_.*|this|antigravity|idlelib|tests?|tkinter|turtle.*|lib2to3|ensurepip|distutils|pydoc_data|encodings|msilib"
    r"|site|sitecustomize|usercustomize|venv|winreg|popen_.*|windows_.*|nturl2path|ntpath|wsgiref|pyexpat|site-packages)(\.|$)"
)
SECONDS = 60
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
FILE_LINK = re.compile(r'<a href="file:[^"]*">[^<]*</a>')


def library_modules() -> list[str]:
    """The names of the public modules of the standard library, found by their files."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = [*root.glob("*.py"), *root.glob("*/*.py"), *root.glob("*/*/*.py")]
    names = {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in paths}
    return sorted(name for name in names if not SKIPPED.search(name) and name.replace(".", "").isidentifier())


def render(names: Sequence[str]) -> dict[str, str]:
    """The inner HTML of the page of each module, without those that cannot be imported here."""
    source = str(Path(vlmkit.__file__).parents[1])
    program = f"import sys; sys.path.append({source!r}); from vlmkit.core.samples.live import answer; answer()"
    found = subprocess.run(
        [sys.executable, "-S", "-P", "-B", "-W", "ignore", "-c", program],
        input=json.dumps(list(names)),
        env={"PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=4 * SECONDS,
    )
    pages: dict[str, str] = dict(json.loads(line) for line in found.stdout.splitlines())
    if found.returncode:
        log.warning("pydoc stopped after %d of %d modules: %s", len(pages), len(names), found.stderr.strip()[-200:])
    return pages


def answer() -> None:
    """The other side of `render`: names as JSON on standard input, one [name, html] a line on standard output."""
    names = json.loads(sys.stdin.read())
    out = sys.stdout
    signal.alarm(SECONDS)  # a module that waits for something ends the process, not the sample
    for name in names:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            page = _page(name)
        if page:
            out.write(json.dumps([name, page]) + "\n")
            out.flush()


class Renderer(pydoc.HTMLDoc):
    """pydoc's HTML with docstrings set as paragraphs, and names only where values of this machine would stand."""

    def markup(self, text: str, escape: object = None, *dicts: object) -> str:
        """A docstring as HTML."""
        if escape == self.preformat:
            return prose.html(prose.blocks(text))
        return super().markup(text, escape, *dicts)  # type: ignore[arg-type]

    def docother(self, _value: object, name: str | None = None, *_ignored: object) -> str:
        """A datum: its name alone."""
        return f"<strong>{name}</strong>" if name else ""


def _page(name: str) -> str:
    try:
        html = Renderer().docmodule(importlib.import_module(name))
    except (ImportError, AttributeError, OSError, SystemExit, RuntimeError, ValueError, TypeError):
        return ""  # made for another system, or needs what is not installed
    html = FILE_LINK.sub("source", ADDRESS.sub("", html))
    for path in sorted(_local_paths(), key=len, reverse=True):
        html = html.replace(path, "…")
    return html


def _local_paths() -> Iterator[str]:
    yield from {str(Path.home()), str(Path.cwd()), sys.prefix, sys.base_prefix, *filter(None, sys.path)} - {"/", "/usr"}
