"""One feature a file; `striate.classical` exports them."""
