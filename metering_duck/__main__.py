"""`python -m metering_duck` is `metering-duck`."""

from metering_duck.cli.process import main

main()
