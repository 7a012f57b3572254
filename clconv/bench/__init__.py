"""The measuring harness behind `clconv bench`, `clconv compare` and `clconv tune`."""
