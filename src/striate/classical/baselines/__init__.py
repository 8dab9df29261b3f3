"""The table's rows: pipelines from pixels to a class, a few to a file."""
