"""One store for an application while its documents move from Cosmos DB to Firestore: `DualStore`, `AsyncDualStore`.

stored.py        a document as either store has it; the requests and answers of the protocol
rules.py         what decides between two versions of a document
protocol.py      a write of the application, as requests one after the other
repairs.py       what the repairing job does with a change, a pending write, a tombstone
views.py         what a writer holds to be the case, of the phase and of when it was read
stamps.py        stamps, by a clock that the database corrects
memory.py        a store in memory, for tests
"""
