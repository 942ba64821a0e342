"""`vlmkit`: the registry of commands, loaded one at a time, and the boundary where errors become exit codes."""

import difflib
import errno
import os
import shlex
import signal
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from vlmkit.cli import report
from vlmkit.core.errors import CapabilityError, InputError, RunError, VlmkitError


@dataclass(frozen=True)
class Spec:
    """A command of the registry: where it lives, what the overview says of it."""

    module: str
    summary: str
    panel: str


COMMANDS = {
    "sample": Spec("sample", "Make inputs to try the other commands on, from what this machine has.", "Data"),
    "curate": Spec("curate", "Turn web pages into a corpus: main text, language, rules, duplicates, tokens.", "Data"),
    "pretrain": Spec("pretrain", "Train a language model on documents or tokens, to an exact token budget.", "Models"),
    "eval": Spec("eval", "Score language models on in-context tasks, and report CORE and EXTENDED.", "Models"),
    "fit-scaling": Spec("fit_scaling", "Fit a scaling law to runs and predict larger ones, honestly.", "Models"),
    "attack": Spec(
        "attack", "Measure how robust an image classifier is, and whether the number can be trusted.", "Models"
    ),
    "inspect": Spec("inspect", "Show any artifact, table, model or archive as a person would want it.", "Look"),
    "verify": Spec("verify", "Re-check the digests of an artifact, up its chain of inputs.", "Look"),
    "doctor": Spec("doctor", "Say what works on this machine, and how to mend what does not.", "Look"),
    "kernels": Spec("kernels", "List, build and check the compiled operations.", "Look"),
}


class Placeholder(TyperCommand):
    """A command that is not loaded yet: enough for the overview and for suggestions."""

    def __init__(self, name: str, spec: Spec) -> None:
        super().__init__(name, help=spec.summary, rich_help_panel=spec.panel, add_help_option=False)
        self.spec = spec

    def load(self) -> Any:
        """The command itself; only now is its module imported."""
        made: Any = typer.main.get_group(import_module(f"vlmkit.cli.{self.spec.module}").app)
        made.name = self.name
        further = [(name, one) for name, one in made.commands.items() if name != made.default]
        if made.default and further:
            listed = [f"  vlmkit {self.name} {name}: {one.get_short_help_str(90)}" for name, one in further]
            own = made.commands[made.default]
            own.epilog = "\n\n".join(["[bold]Further actions[/bold]", *listed, own.epilog or ""])
        return made


class LazyGroup(TyperGroup):
    """All commands by name; each is imported when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: Placeholder(name, spec) for name, spec in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the command that the first word names."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found.load() if isinstance(found, Placeholder) else found, rest


app = typer.Typer(
    name="vlmkit", cls=LazyGroup, add_completion=False, no_args_is_help=True, rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="[bold]vlmkit COMMAND --help[/bold] says more. Begin with [bold]vlmkit sample web --out web[/bold].",
)  # fmt: skip


@app.callback(invoke_without_command=True)
def options(version: bool = typer.Option(False, "--version", help="Print the version and leave.")) -> None:
    """Curate data for, train, evaluate, harden and privately serve language and vision-language models."""
    if version:
        print(metadata.version("vlmkit"))
        raise typer.Exit


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    words = sys.argv[1:] if argv is None else argv
    signal.signal(signal.SIGTERM, terminate)
    try:
        code = run(words)
        sys.stdout.flush()
    except OSError as error:
        code = silence(error)
    sys.exit(code)


def run(words: list[str]) -> int:
    """Run the command line and give its exit code; every failure is reported here."""
    as_json = "--json" in words or report.wished("json")
    usage: Any = typer.BadParameter.__mro__[1]  # UsageError; its module is private to typer
    try:
        code = app(words or ["--help"], prog_name="vlmkit", standalone_mode=False)
    except VlmkitError as error:
        return report.fail(error, as_json=as_json)
    except usage as error:
        return report.fail(usage_error(error), as_json=as_json)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        if isinstance(error.__context__, BrokenPipeError):  # typer and rich leave so when the reader has gone
            return silence(error.__context__)
    except BrokenPipeError:
        raise
    except Exception as error:
        return report.fail(translate(error, words), as_json=as_json)
    code = code if isinstance(code, int) else 0
    if code in (130, 143):
        return report.fail(Interrupted(code, f"vlmkit {shlex.join(words)}"), as_json=as_json)
    return code


class Interrupted(VlmkitError):
    """Ctrl-C or SIGTERM: what was done stays done."""

    kind = "interrupted"

    def __init__(self, code: int, words: str) -> None:
        super().__init__("interrupted", where=words, fix="the same words go on from here")
        self.code = code


def usage_error(error: Any) -> InputError:
    """A mistake in the words themselves, with the nearest known word."""
    message = error.format_message().rstrip(".")
    wrong, known = getattr(error, "option_name", ""), list(getattr(error, "possibilities", None) or ())
    known = difflib.get_close_matches(wrong, known, n=1, cutoff=0.0)
    path = error.ctx.command_path if getattr(error, "ctx", None) else "vlmkit"
    message, _, _ = message.partition(" (Possible options")
    message, _, meant = message.partition(". Did you mean ")
    near = meant.rstrip("?") or (known[0] if known else "")
    fix = f"did you mean {near}?" if near else f"`{path} --help` lists what there is"
    return InputError(message[:1].lower() + message[1:], where=path, fix=fix)


def translate(error: Exception, words: list[str]) -> VlmkitError:
    """Any other exception as one of ours: the environment's fault where it is, else a fault of the run."""
    text = str(error)
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC or "No space left on device" in text or "inline_container" in text:
        return CapabilityError(
            "the disk is full",
            where=getattr(error, "filename", "") or text,
            fix="free some space, then run the same words",
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        place = str(getattr(error, "filename", ""))
        return CapabilityError(f"no access: {os.strerror(number)}", where=place, fix="name a folder that you may use")
    if isinstance(error, ModuleNotFoundError):
        return CapabilityError(
            f"the package '{error.name}' is not installed",
            where="this Python",
            fix="`vlmkit doctor` says what to install",
        )
    if isinstance(error, MemoryError) or "not enough memory" in text or "out of memory" in text:
        return CapabilityError(
            "not enough memory", where=text[:200], fix="a smaller batch or model, or a larger machine"
        )
    if "-v" in words or "--verbose" in words or os.environ.get("VLMKIT_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    path = where_to_look(error, Path(tempfile.gettempdir()))
    return RunError(
        f"{type(error).__name__}: {text}",
        where=f"the traceback is in {path}",
        fix="this is a fault of vlmkit: please report it",
    )


def where_to_look(error: BaseException, folder: Path) -> Path:
    """Write the traceback of a fault of ours where the user can send it from."""
    import traceback

    path = folder / f"vlmkit-error-{os.getpid()}.log"
    path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return path


def silence(error: OSError) -> int:
    """Standard output is gone: no traceback when a reader closed it, exit 3 when its disk is full."""
    broken = error.errno == errno.EPIPE
    if not broken:
        print(f"error: cannot write to standard output: {os.strerror(error.errno or 0)}", file=sys.stderr)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if broken else 3


def terminate(signum: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the run as Ctrl-C does, with its own exit code."""
    raise SystemExit(128 + signum)
