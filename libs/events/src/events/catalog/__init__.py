"""What can happen, one module per publishing service. Pure data."""
