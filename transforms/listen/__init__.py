"""Changes of Firestore into sinks, as they happen: what the listen job is built from.

entries.py    a change on its way, and where its stream stands behind a batch of them
counters.py   what is counted
rows.py       rows of BigQuery
steps.py      the steps of a pipeline
"""
