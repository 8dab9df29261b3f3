"""Augmentations, one idea a file: whole batches at a time, drawn from (seed, epoch, step)."""
