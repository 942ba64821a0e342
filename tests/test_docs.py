"""What the documents say is what the program says and does."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_generated_pages_and_golden_help_texts_are_current():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_help_names_panels_and_two_examples():
    texts = {path.stem: path.read_text() for path in (ROOT / "tests" / "golden" / "help").glob("*.txt")}
    assert len(texts) > 10
    for name, text in texts.items():
        if name != "vlmkit":
            assert "─ Common ─" in text, name
            assert "─ Compute ─" in text, name
            lines = [line for line in text.split("Examples", 1)[1].splitlines() if "vlmkit" in line]
            assert len(lines) >= 2, name


def test_the_readme_links_to_files_that_exist():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_citation_file_names_ten_papers():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert len(found["references"]) == 10


def test_every_command_has_a_row_in_the_readme():
    from vlmkit.cli.app import COMMANDS

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`{name}`" in text, name
