"""`python -m spotscan` is the command line."""

import sys

from spotscan.cli import main

if __name__ == "__main__":  # the workers of a batch import this module, too
    sys.exit(main())
