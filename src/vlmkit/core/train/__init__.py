"""One training loop, its data, schedules, checkpoints and distribution."""
