"""`python -m local up`."""

from local.main import main

main()
