"""Cosmos DB (API for NoSQL): containers, their items and their change feed. No Firestore, no Beam.

    CosmosTarget ──pickled with the job──▶ worker ──connect()──▶ Connection: one client, one retry layer, one budget
                                                                   ├─ feed.py    pages of changes, per feed range
                                                                   ├─ reads.py   one item, a range of ids, all keys
                                                                   └─ writes.py  create, replace, patch, delete, batch

azure-cosmos is imported when a target connects: `pip install 'firebeam[cosmos]'`.
"""
