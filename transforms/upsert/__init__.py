"""Records into Firestore documents, a pair or one each, exactly once: compare, flatten, decide, send, record."""
