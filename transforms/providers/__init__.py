"""Batches that run at a provider: created, watched and fetched through one interface. Import from `remote`."""
