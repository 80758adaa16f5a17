"""The jobs: one file each, with a frozen Config, prepare and build."""
