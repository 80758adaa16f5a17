"""Changes of Firestore into sinks, as they happen: what the listen job is built from.

definitions.py   streams files
entries.py       a change on its way, and where its stream stands behind a batch of them
counters.py      what is counted
priorities.py, rates.py, turns.py, schedule.py    whose changes go next, and how many
rows.py, tables.py                                BigQuery
steps.py         the steps of a pipeline
"""
