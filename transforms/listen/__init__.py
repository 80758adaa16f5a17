"""Changes of Firestore into sinks, as they happen: what the listen job is built from.

definitions.py   streams files
entries.py       a change on its way, and where its stream stands behind a batch of them
counters.py      what is counted
priorities.py, rates.py, turns.py, schedule.py    whose changes go next, and how many
retries.py       dead letters that are tried again
health.py        how streams are
rows.py, tables.py                                BigQuery
sinks.py         what every other sink has in common: handlers.py, publish.py (Pub/Sub), mirror.py (Firestore)
steps.py, write.py                                the steps of a pipeline
"""
