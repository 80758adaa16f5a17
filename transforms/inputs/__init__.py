"""Sources of batches: files and documents, read as batches of records.

| module | what it does |
|--------|--------------|
| files, slices, read | with Beam: files are found, cut into slices, read in parallel |
| documents | with Beam: the documents of a query |
| streams, lines, items | bytes, lines, records not parsed yet |
| formats/ | one reader per format; detect chooses |
"""
