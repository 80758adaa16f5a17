"""Proof that two stores hold the same documents: counts and hashes of key ranges first, keys only where those differ.

entries.py       what a store must be able to do, and what it gives
tallies.py       count and order-free hash of a range
comparison.py    two stores, one range: which keys differ
differences.py   what a difference says
forms.py         what of a document or row is compared
key_intervals.py Firestore's order of names, asked of a store that only knows the order of bytes
*_store.py       Firestore, BigQuery, JSON Lines, Cosmos DB, tables of databases
steps.py         the steps of a pipeline
"""
