"""Python files that a user brings, as modules."""

import importlib.util
import sys
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from vlmkit.core.io.files import digest


def load_file(path: Path) -> ModuleType:
    """A file as a module, run once in each process; a file that was changed is another one.

    Raises:
        Exception: whatever the file raises.
    """
    name = f"vlmkit_{path.stem}_{digest(path)[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        made = sys.modules[name] = importlib.util.module_from_spec(spec)
        with ExitStack() as undo:
            undo.callback(sys.modules.pop, name)
            spec.loader.exec_module(made)
            undo.pop_all()  # it ran to its end, so it stays
    return sys.modules[name]
