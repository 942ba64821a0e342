"""A training run as a process to be killed: DATA, checkpoint folder, file for the final weights and log."""

import sys
from pathlib import Path

import torch
from tiny import train, weights

from vlmkit.core.io.files import sweep
from vlmkit.core.io.tensors import save_tensors
from vlmkit.core.io.tokens import TokenSet
from vlmkit.core.train.data import whole

if __name__ == "__main__":
    torch.set_num_threads(1)
    data, folder, end = map(Path, sys.argv[1:])
    folder.mkdir(exist_ok=True)
    sweep(folder)
    say = [lambda: print("begun", flush=True)]
    run = train(
        whole([TokenSet(data)]), tokens=3000, folder=folder, every=2, hooks=(lambda run: say.pop()() if say else None,)
    )
    clockless = ("step", "tokens", "loss", "lr", "grad_norm")
    rows = {f"rows/{name}": torch.tensor(run.rows[name], dtype=torch.float64) for name in clockless}
    save_tensors(end, weights(run) | rows)
