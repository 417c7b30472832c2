"""`python -m cmon`, for where the command `cmon` is not on the PATH."""

from cmon.cli.main import main

if __name__ == "__main__":
    main(prog_name="cmon")
