"""`python -m stoat_ferret` is `stoat`."""

import sys

from stoat_ferret.pauses import load_quickly


def main() -> int:
    """Run a command and give the exit status."""
    load_quickly()
    from stoat_ferret.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
