"""From the fields of a config to options, and from words, environment and file back to a config.

Precedence: a flag, then `VLMKIT_<OPTION>` in the environment, then `--config FILE.toml`, then the default. Every word
is read by the annotation of its field (`configs.words`), so that all commands refuse in the same way.
"""

import dataclasses
import inspect
import os
import tomllib
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import typer
from typer.core import TyperGroup

from vlmkit.cli import report
from vlmkit.core.configs.fields import COMMON, COMPUTE, INPUTS, METHOD, Action
from vlmkit.core.configs.words import bare, read_value
from vlmkit.core.errors import InputError, nearest

C = TypeVar("C", bound=Action)
Field = dataclasses.Field[Any]


def actions(name: str, *, default: str | None = "run") -> typer.Typer:
    """A command with actions; words that name none of them go to the default one."""

    class Actions(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.default = default

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if default and (not args or args[0] not in self.commands):
                needs = any(one.required for one in self.commands[default].params)
                args = [default, *(args or (["--help"] if needs else []))]
            return super().parse_args(ctx, args)

    return typer.Typer(
        name=name, cls=Actions, add_completion=False, no_args_is_help=default is None, rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip


def command(app: typer.Typer, config: type[C]) -> Callable[[Callable[[C], object]], Callable[..., int]]:
    """Register an action: a function from its config to a result, with the config's fields as options."""

    def register(function: Callable[[C], object]) -> Callable[..., int]:
        def call(**words: Any) -> int:
            manner = {key: words.pop(key) or report.wished(key) for key in ("json", "quiet", "verbose")}
            session = report.Session(config.command, config.action, **manner)
            with session:
                values, origins = merge(config, words)
                if words["print_config"]:
                    return session.show_config(values, origins)
                made = config(**values)
                from vlmkit.core.recipes.door import check, refuse

                check(made)
                try:
                    result = function(made)
                except InputError:
                    refuse()
                    raise
                return session.show(result)

        parameters = [*(parameter(item, hint) for item, hint in hints(config)), *session_parameters()]
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        call.__name__ = config.action
        app.command(name=config.action, help=description(config), epilog=epilog(config))(call)
        return call

    return register


def description(config: type[Action]) -> str:
    """The help text of an action: its docstring, what it writes, and the paper."""
    parts = [inspect.cleandoc(config.__doc__ or "")]
    if config.outputs:
        parts.append(f"[dim]Writes:[/dim] {escape(config.outputs)}")
    if config.paper:
        parts.append(f"[dim]Paper:[/dim] {escape(config.paper)}")
    return "\n\n".join(parts)


def epilog(config: type[Action]) -> str:
    """Examples below the options."""
    return (
        "\n\n".join(["[bold]Examples[/bold]", *(f"  {escape(line)}" for line in config.examples)])
        if config.examples
        else ""
    )


def escape(text: str) -> str:
    """Text whose brackets are no markup."""
    return text.replace("[", r"\[")


def hints(config: type[Action]) -> list[tuple[Field, Any]]:
    """The fields of a config with their annotations: arguments first, then its own options, then the common ones."""
    annotations = typing.get_type_hints(config)
    common = {item.name for item in dataclasses.fields(Action)}
    found = [(item, annotations[item.name]) for item in dataclasses.fields(config)]
    order = {INPUTS: 0, METHOD: 1, COMPUTE: 2, COMMON: 3}
    return sorted(
        found,
        key=lambda pair: (
            not pair[0].metadata.get("argument"),
            order[pair[0].metadata["panel"]],
            pair[0].name in common,
        ),
    )


def parameter(item: Field, hint: Any) -> inspect.Parameter:
    """The command-line parameter of a field; words stay text here, `read_value` gives them their type."""
    data, inner = item.metadata, bare(hint)
    many = get_origin(inner) in (tuple, dict)
    metavar = data.get("metavar") or metavar_of(item.name, inner)
    annotation: Any = list[str] if many else str
    if data.get("argument"):
        metavar += "…" if many else ""
        made = typer.Argument(..., help=data["help"], metavar=metavar, show_default=False)
    elif inner is bool:
        annotation = bool | None
        made = typer.Option(
            None, flag(item), help=data["help"], metavar=" ", rich_help_panel=data["panel"], show_default=False
        )
    else:
        annotation |= None
        text = " ".join([data["help"], *notes(item, inner)])
        made = typer.Option(
            None, flag(item), help=text, metavar=metavar, rich_help_panel=data["panel"], show_default=False
        )
    return inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=made, annotation=annotation)


def flag(item: Field) -> str:
    """The option of a field; a switch that is on by default has a --no- form."""
    name = item.metadata.get("name") or "--" + item.name.replace("_", "-")
    if item.name == "overwrite":
        return "--overwrite/--resume"
    return f"{name}/--no-{name[2:]}" if item.default is True else name


def notes(item: Field, inner: Any) -> list[str]:
    """What follows the help of an option: whether it repeats, is required, or what its default is."""
    fallback = default_of(item)
    found = ["Repeats."] if get_origin(inner) is dict or item.metadata.get("repeat") else []
    found += [r"\[required]"] if fallback is dataclasses.MISSING else []
    found += [rf"\[default: {escape(show(fallback))}]"] if show(fallback) else []
    return [f"[dim]{note}[/dim]" for note in found]


def session_parameters() -> list[inspect.Parameter]:
    """What belongs to the conversation, not to the config: --config, --print-config, --json, -q, -v."""

    def declare(name: str, kind: object, *flags: str, help: str, metavar: str = " ") -> inspect.Parameter:
        default = None if kind is not bool else False
        made = typer.Option(default, *flags, metavar=metavar, help=help, rich_help_panel=COMMON, show_default=False)
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=made, annotation=kind)

    return [
        declare("config", str | None, "--config", metavar="FILE.toml", help="Options from a TOML file."),
        declare("print_config", bool, "--print-config", help="Print every option and where it comes from."),
        declare("json", bool, "--json", help="Print one JSON object on stdout."),
        declare("quiet", bool, "-q", "--quiet", help="No progress."),
        declare("verbose", bool, "-v", "--verbose", help="Details, and tracebacks of faults."),
    ]


def metavar_of(name: str, inner: Any) -> str:
    """What stands for the value in the help."""
    origin, args = get_origin(inner), get_args(inner)
    if origin is Literal:
        return "|".join(map(str, args))
    if origin is tuple:
        return metavar_of(name, args[0])
    if origin is dict:
        return f"NAME={metavar_of('value', args[1])}"
    return {Path: "PATH", int: "N", float: "X"}.get(inner, name.upper().replace("_", "-"))


def show(value: object) -> str:
    """A default as a user would type it."""
    if value is None or value is dataclasses.MISSING or value in ((), {}):
        return ""
    return (
        ",".join(show(one) for one in value)
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def merge(config: type[Action], words: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The value of every field that is not left to its default, and where each comes from."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    file = read_file(config, Path(words["config"])) if words.get("config") else {}
    for item, hint in hints(config):
        flag = item.metadata.get("name") or "--" + item.name.replace("_", "-")
        label = item.name if item.metadata.get("argument") else flag
        variable = f"VLMKIT_{item.name.upper()}"
        if words.get(item.name) not in (None, []):
            raw, origin = words[item.name], "command line"
        elif variable in os.environ and not item.metadata.get("argument"):
            raw, origin, label = os.environ[variable], "environment", variable
        elif item.name in file:
            raw, origin, label = file[item.name], words["config"], f"{words['config']}: {item.name}"
        elif default_of(item) is dataclasses.MISSING:
            raise InputError(f"{label} is missing", where=f"vlmkit {config.command}", fix=item.metadata["help"])
        else:
            values[item.name], origins[item.name] = default_of(item), "default"
            continue
        values[item.name], origins[item.name] = read_value(raw, hint, label, bool(item.metadata.get("repeat"))), origin
    return values, origins


def default_of(item: Field) -> Any:
    """A field's default, or MISSING."""
    return item.default if item.default_factory is dataclasses.MISSING else item.default_factory()


def read_file(config: type[Action], path: Path) -> dict[str, Any]:
    """Options from a TOML file: top-level keys, or the table named after the command."""
    if not path.is_file():
        raise InputError(f"{path} does not exist", where="--config", fix="name a TOML file")
    text = path.read_text(encoding="utf-8")
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not valid TOML: {error}", where=str(path), fix="correct the line") from error
    own = raw.get(config.command, raw.get(config.command.replace("-", "_")))
    raw = own if isinstance(own, dict) else raw
    known = {item.name for item in dataclasses.fields(config)}
    for key in raw:
        if key.replace("-", "_") not in known:
            line = next((i for i, one in enumerate(text.splitlines(), 1) if one.strip().startswith(key)), 0)
            raise InputError(
                f"unknown option '{key}'", where=f"{path}:{line}", fix=nearest(key.replace("-", "_"), sorted(known))
            )
    return {key.replace("-", "_"): value for key, value in raw.items()}
