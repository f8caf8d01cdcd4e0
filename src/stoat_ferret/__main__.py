"""`python -m stoat_ferret` is `stoat`."""

import sys

from stoat_ferret.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
