"""What everything stands on: errors, registry, signatures, contracts, runtime, storage. Nothing here imports torch."""
