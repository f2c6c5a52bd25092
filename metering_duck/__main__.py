"""`python -m metering_duck` is `metering-duck`."""

from metering_duck.cli.main import main

main()
