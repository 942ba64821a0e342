"""The published tables beside the project, for the tests of scaling laws."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scaling_runs import fit_to

from vlmkit.core.io.runs import read_runs
from vlmkit.core.scaling.laws import CHINCHILLA


@pytest.fixture(scope="session")
def gadre(shared):
    """The 69 models of Gadre et al."""
    return read_runs([shared("scaling") / "gadre_c4_rpj.parquet"])


@pytest.fixture(scope="session")
def epoch(shared):
    """The 245 points of Hoffmann et al. that Besiroglu et al. reconstructed."""
    return read_runs([shared("chinchilla") / "chinchilla_245.parquet"])


@pytest.fixture(scope="session")
def epoch_fit(epoch):
    """Chinchilla's law fitted as Besiroglu et al. did, without the five highest losses."""
    rows = epoch["loss"] < np.sort(epoch["loss"])[-5]  # strictly below the fifth largest loss
    assert rows.sum() == 240
    return fit_to(CHINCHILLA, epoch["N"][rows], epoch["D"][rows], epoch["loss"][rows], loss="huber", space="log")
