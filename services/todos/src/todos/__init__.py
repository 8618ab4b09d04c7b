"""To-dos, event-sourced."""
