"""BigQuery: tables and their columns, cells and rows, queries, and the ways to write rows. `write.py` is the one step.

target.py      which table, and where             schema.py, tables.py   its columns; made, and widened
queries.py     questions and statements           cells.py, rows.py      values as cells of columns
inserter.py    insertAll                          storage_*.py           the Storage Write API
load.py        load jobs                          row_writer.py          a batch's rows, whichever way they go
"""
