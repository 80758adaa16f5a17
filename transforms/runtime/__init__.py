"""What a batch needs inside Beam: its coder, a background thread, worker set-up, the stop signal, metrics."""
