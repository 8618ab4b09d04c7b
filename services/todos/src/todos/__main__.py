"""`python -m todos`."""

from todos.main import main

main()
