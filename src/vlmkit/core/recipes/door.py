"""What every command checks of its inputs before torch is loaded."""

from vlmkit.core.io import artifacts
from vlmkit.core.io.job import Action, input_paths, refuse

__all__ = ["check", "refuse"]


def check(config: Action) -> None:
    """Refuse inputs that do not exist or are artifacts of another kind than the action eats.

    Raises:
        InputError: naming the path, and the nearest name that exists.
    """
    for path, kinds in input_paths(config):
        if kinds:
            artifacts.check_kind(path, kinds)
        elif not path.exists():
            raise artifacts.missing(path)
