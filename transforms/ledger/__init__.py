"""The ledger in Firestore: jobs, their runs and batches, and what became of their records."""
