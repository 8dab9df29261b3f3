"""One classifier a file; `striate.classical` exports them."""
