"""`python -m clconv` is the command clconv."""

from clconv.cli import main

main()
