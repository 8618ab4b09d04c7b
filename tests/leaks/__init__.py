"""Load with restarts for half an hour: memory, files, tasks and connections of no process may grow."""
