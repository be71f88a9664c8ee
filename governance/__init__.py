"""Who, which model, which policy, what was decided."""
