"""How long `vlmkit --help` and a refusal take, beside a two-command Typer hello in the same run.

Prints the minimum of several runs in seconds and the ratio to the hello. Aim: at most 1.5.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

HELLO = """
import typer
app = typer.Typer()
@app.command()
def one(x: int = 1): "Say one."
@app.command()
def two(x: int = 1): "Say two."
app()
"""
REPEATS = 9


def fastest(words: list[str]) -> float:
    """The shortest wall time of a command in seconds, after one run to warm the caches."""
    subprocess.run(words, capture_output=True, check=False)
    found = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        subprocess.run(words, capture_output=True, check=False)
        found.append(time.perf_counter() - begun)
    return min(found)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        hello = Path(folder) / "hello.py"
        hello.write_text(HELLO)
        base = fastest([sys.executable, str(hello), "--help"])
        print(f"{'Typer hello --help':40} {base:6.3f} s")
        for words in (
            ["--help"],
            ["pretrain", "--help"],
            ["curate", "absent", "--out", "x"],
            ["pretrain", ".", "--sise", "1"],
        ):
            spent = fastest([sys.executable, "-m", "vlmkit", *words])
            print(f"{'vlmkit ' + ' '.join(words):40} {spent:6.3f} s  {spent / base:5.2f} x")


if __name__ == "__main__":
    main()
