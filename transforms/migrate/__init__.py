"""Between Cosmos DB and Firestore: how an item becomes a document and a document an item."""
