"""A model's answer about each record: asked once, stored, and paid for at a known price."""
