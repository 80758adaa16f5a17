"""The commands that are not pipelines: one file each, with a frozen Config and main."""
