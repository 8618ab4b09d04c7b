"""`python -m ops` is `todo-ops`."""

from ops.main import main

main()
