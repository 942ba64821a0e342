"""Traps of installed packages are found; the installed ones are faked."""

import pytest

from vlmkit.core.io import machine


@pytest.fixture
def installed(monkeypatch):
    """Pretend that exactly these distributions are installed."""

    def pretend(**versions):
        known = {name.replace("_", "-"): version for name, version in versions.items()}
        monkeypatch.setattr(machine, "version", known.get)

    return pretend


def test_a_torchvision_for_cuda_beside_a_cpu_torch(installed):
    installed(torchvision="0.28.0")
    assert machine.torchvision(None)["state"] == "fault"
    assert machine.torchvision("13.0")["state"] == "ok"
    installed(torchvision="0.28.0+cpu")
    assert machine.torchvision(None)["state"] == "ok"
    installed()
    assert machine.torchvision(None)["state"] == "ok"


def test_two_packages_in_one_folder(installed):
    installed(faiss_cpu="1.15", faiss_gpu="1.15")
    assert machine.faiss()["state"] == "fault"
    installed(fasttext="0.9.3", fasttext_numpy2_wheel="0.9.2")
    row = machine.fasttext()
    assert row["state"] == "fault"
    assert "pip uninstall -y" in row["fix"]


def test_a_fasttext_that_gives_wrong_numbers(installed):
    installed(fasttext="0.9.3")
    assert machine.fasttext()["state"] == "fault"
    installed(fasttext_numpy2="0.10.4")
    assert machine.fasttext()["state"] == "ok"


def test_a_missing_package_is_a_fault_or_a_note_with_its_cure(installed):
    installed(numpy="2.4")
    rows = {row["name"]: row for row in machine.packages()}
    assert rows["numpy"]["state"] == "ok"
    assert rows["transformers"]["state"] == "fault"
    assert rows["faiss"]["state"] == "note"
    assert rows["faiss"]["fix"] == "pip install faiss-cpu"


def test_doctor_says_usable_here_and_names_what_is_not_there(vlmkit):
    found = vlmkit("doctor", "--json", env={"PATH": "/nonexistent", "CXX": ""})
    checks = {row["name"]: row for row in found.json["checks"]}
    assert found.code == 0
    assert found.json["usable"] is True
    assert checks["C++ compiler"]["state"] == "note"
    assert checks["C++ compiler"]["fix"]
