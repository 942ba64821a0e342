"""`python -m vlmkit` is `vlmkit`."""

from vlmkit.cli.app import main

if __name__ == "__main__":
    main()
