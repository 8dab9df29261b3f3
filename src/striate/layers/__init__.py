"""What torch.nn lacks, one file a layer."""
