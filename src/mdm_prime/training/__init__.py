"""The training loop, its moving average and its checkpoints. It reports through a callback."""
