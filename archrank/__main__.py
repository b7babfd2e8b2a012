"""`python -m archrank`."""

from archrank.cli import main

main()
