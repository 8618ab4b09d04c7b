"""`python -m activity`."""

from activity.main import main

main()
