"""`python -m pipelines.cli`, for checkouts and torchrun."""

from pipelines.cli.app import main

main()
