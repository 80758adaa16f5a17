"""Pub/Sub: where a topic is, and how messages get there with an answer for each."""
