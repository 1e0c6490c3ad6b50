"""`python -m atex_cli` is `atex`."""

from atex_cli.main import main

main()
