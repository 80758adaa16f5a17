"""Records into pairs of Firestore documents, each written exactly once: compare, flatten, decide, send, record."""
