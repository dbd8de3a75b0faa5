"""Publishing: results and checks, then an atomic rename."""
