"""`python -m mailer`."""

from mailer.main import main

main()
