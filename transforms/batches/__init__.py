"""Batch outputs: files and model batch results, read as batches of records.

| module | what it does |
|--------|--------------|
| files, slices, read | with Beam: files are found, cut into slices, read in parallel |
| streams, lines, items | bytes, lines, records not parsed yet |
| json_lines, json_document, csv_rows, parquet_rows | one reader a format; detect chooses |
| model_results, model_answers | what providers wrap around a model's answer |
| letters, dead_letter_files | dead letters: read back, and moved while they are replayed |
"""
