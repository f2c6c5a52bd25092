"""`python -m metering_duck` is `metering-duck`."""

import sys

try:
    from metering_duck.cli.process import main
except KeyboardInterrupt:
    sys.stderr.write("error: run: was interrupted; nothing was written.\n")
    sys.exit(130)

main()
