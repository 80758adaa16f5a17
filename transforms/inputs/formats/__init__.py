"""The formats of input files, one file per format: how records are found in bytes, and made of them. Plain Python."""
