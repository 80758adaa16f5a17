"""What may become of a record whose question has no answer. Imports nothing, so that flags can name it."""

from __future__ import annotations

DEAD_LETTER, STORE = "dead_letter", "store"
