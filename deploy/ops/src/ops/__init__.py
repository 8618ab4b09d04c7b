"""What an operator asks and does: todo-ops."""
