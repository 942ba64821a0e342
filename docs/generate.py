"""Make docs/commands.md and docs/artifacts.md from the program itself, and the golden help texts beside the tests.

`python docs/generate.py` writes them; `--check` fails when what is stored differs from what the program says.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

os.environ |= {"TERMINAL_WIDTH": "100", "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}  # before typer is imported

import typer
from typer.testing import CliRunner

from vlmkit.cli.app import COMMANDS, app
from vlmkit.core.io.schemas import SCHEMAS

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "help"


def helps() -> dict[str, str]:
    """The help of the program and of every action, by name."""
    runner = CliRunner()
    found = {"vlmkit": runner.invoke(app, ["--help"], prog_name="vlmkit").stdout}
    for name, spec in COMMANDS.items():
        group = typer.main.get_group(import_module(f"vlmkit.cli.{spec.module}").app)
        for action in group.commands:
            words = [name, *([action] if len(group.commands) > 1 else []), "--help"]
            found[f"{name}-{action}" if len(group.commands) > 1 else name] = runner.invoke(
                app, words, prog_name="vlmkit"
            ).stdout
    return {name: "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n" for name, text in found.items()}


def commands(texts: dict[str, str]) -> str:
    """docs/commands.md: every help text as it is printed."""
    parts = ["# Commands", "", "Made by `make docs` from the help of the program; do not edit."]
    for name, text in texts.items():
        title = name if name == "vlmkit" else f"vlmkit {name.replace('-', ' ') if name not in COMMANDS else name}"
        parts += ["", f"## {title}", "", "```text", text.rstrip(), "```"]
    return "\n".join(parts) + "\n"


def artifacts() -> str:
    """docs/artifacts.md: the columns of every kind of table, after the hand-written head."""
    head = (ROOT / "docs" / "artifacts.head.md").read_text(encoding="utf-8")
    parts = [head.rstrip()]
    for kind, schema in SCHEMAS.items():
        parts += ["", f"### {kind}", "", "| column | type |", "|---|---|"]
        parts += [f"| `{field.name}` | {field.type} |" for field in schema]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write everything, or with --check compare."""
    texts = helps()
    wanted = {GOLDEN / f"{name}.txt": text for name, text in texts.items()}
    wanted |= {ROOT / "docs" / "commands.md": commands(texts), ROOT / "docs" / "artifacts.md": artifacts()}
    if "--check" in sys.argv:
        stale = [
            path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
        ]
        stale += [path for path in GOLDEN.glob("*.txt") if path not in wanted]
        for path in stale:
            print(f"{path.relative_to(ROOT)} differs from what the program says: run `make docs`")
        sys.exit(1 if stale else 0)
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for path in GOLDEN.glob("*.txt"):
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")


main()
