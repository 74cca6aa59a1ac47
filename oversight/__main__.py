"""`python -m oversight`, where the `oversight` command is not on the path."""

from oversight.cli import program

if __name__ == "__main__":
    raise SystemExit(program())
