"""How a job is run: its flags, launching, local and Dataflow runs, signals."""
