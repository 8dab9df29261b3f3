"""The methods, one file each; `striate.understand` exports them, this package exports nothing."""
