"""What people would use instead: small applications with the same two routes, each kept as good as its kind allows."""
