"""`python -m server` is `tiercare`."""

from server.cli import main

main()
