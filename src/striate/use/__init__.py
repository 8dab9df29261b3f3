"""A trained network at work: predictions on files and folders."""
