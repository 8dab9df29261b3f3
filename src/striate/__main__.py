"""`python -m striate`: the command line, where the `striate` command is not on the path."""

from striate.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
