"""Data sets: where pictures come from, checked, split, packed, and handed out in whole batches."""
