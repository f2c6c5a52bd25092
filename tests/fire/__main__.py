"""Run the fire: `python -m tests.fire --minutes 2`."""

import sys

from tests.fire.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
