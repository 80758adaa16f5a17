"""Between Cosmos DB and Firestore: how an item becomes a document, and the phases of a migration.

documents.py   an item as a document, and back
phases.py      phases as data, and which one holds when
"""
