"""Rows of files into a table of BigQuery: which columns they need, and how a value becomes a cell of one.

arrow_types.py   what Parquet declares            csv_types.py   what the cells of CSV can be
survey.py        the columns of some files        cells.py       a value in its column, or in _overflow
rows.py          records ▶ rows ▶ tables          steps.py       the same in Beam        known.py   files read before
options.py       what can be chosen
"""
