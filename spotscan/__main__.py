"""`python -m spotscan` is the command line."""

import sys

from spotscan.cli import main

sys.exit(main())
