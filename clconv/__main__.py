"""The command line as `python -m clconv`."""

from clconv.cli import main

if __name__ == "__main__":
    main()
