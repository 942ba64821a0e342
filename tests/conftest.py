"""Shared fixtures: real data beside the project where it is, and commands run as a user runs them."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared():
    """A function from a name to a folder of ../shared/data; the test is skipped where it is absent."""

    def find(name):
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs the data in ../shared/data/{name}, which does not travel with the project")
        return path

    return find


@dataclass
class Done:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """Standard output, which must be exactly one JSON object."""
        return json.loads(self.out)


@pytest.fixture(scope="session")
def vlmkit():
    """Run `vlmkit WORDS…` in a process of its own."""

    def run(*words, cwd=None, env=None, timeout=240):
        done = subprocess.run(
            [sys.executable, "-m", "vlmkit", *map(str, words)],
            capture_output=True, text=True, cwd=cwd, timeout=timeout, env={**os.environ, **(env or {})}, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    return run
