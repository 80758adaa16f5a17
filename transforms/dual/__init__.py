"""One store for an application while its documents move from Cosmos DB to Firestore: `DualStore`, `AsyncDualStore`.

The decisions, without a store, a clock or a thread:
stored.py        a document as either store has it; the requests and answers of the protocol
rules.py         what decides between two versions of a document
protocol.py      a write of the application, as requests one after the other
repairs.py       what the repairing job does with a change, a pending write, a tombstone
views.py         what a writer holds to be the case, of the phase and of when it was read
shadow.py        what two reads differ in
finding.py       what both stores can be asked for

What an application uses:
store.py         DualStore; async_store.py AsyncDualStore; core.py what both have in common
kinds.py         a kind of record: keys, labels
watch.py         the phase, polled; migration.py its document
stamps.py        stamps, by a clock that the database corrects
outages.py       a store that does not answer is left alone for a while
counting.py log_lines.py     what is counted and logged

The stores:
memory.py              in memory, for tests
documents.py           Firestore's documents; firestore_store.py sends what it makes
items.py               Cosmos DB's items; cosmos_store.py and async_cosmos_store.py send what it makes
connect.py             a DualStore of a spec, a container and a migration, by the environment
"""
