"""Sources of batches: files, documents and rows of tables, read as batches of records.

| module | what it does |
|--------|--------------|
| files, slices, packs | files are found; large ones are cut into slices, small ones share batches |
| documents | the documents of a query |
| tables, table_records | the rows of a table of a database; the same as records |
| sources | what all of them have in common; read, with Beam: their partitions in parallel |
| options, modes, shapes | what can be chosen, and what becomes of a record then |
| streams, lines, items | bytes, lines, records not parsed yet |
| formats/ | one reader per format; detect chooses |
"""
