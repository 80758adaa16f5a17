"""Repairs the other store from the primary's change feed while a migration lasts. Plain Python.

phase.py            what the migration's document says: who is primary, which feeds are followed
changes.py          pages of changes, as every feed gives them
cosmos_feed.py      pages of Cosmos DB's change feed
firestore_feed.py   pages of what Firestore's Listen gives, deletes included
searches.py         pending writes and tombstones that are in a store
repairing.py        one change, one pending write, one tombstone: the rules of `dual`, until both stores have answered
lost_writes.py      acknowledged writes that lost, as dead letters
removals.py         what was deleted past DualStore while Firestore is primary
item_scan.py        items whose documents are gone, by their keys
item_deletes.py     what was deleted past DualStore while Cosmos DB is primary, by its feed of deletes
scans.py            when keys are compared
rows.py             rows of BigQuery for what was changed
positions.py        how far each feed is applied, in the ledger
lag.py              how late changes are
follower.py         the loop
"""
