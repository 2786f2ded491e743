"""What every trainer stands on: devices, randomness, files, checkpoints and the record of a run."""
