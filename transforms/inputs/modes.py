"""The names of what can be chosen about input, as flags have them."""

AUTO = "auto"
INPUT_FORMATS = (AUTO, "jsonl", "json", "csv", "parquet")

PLAIN, TAGGED = "plain", "tagged"
TYPES = (PLAIN, TAGGED)

REFUSE, WRAP, JSON, ESCAPE = "refuse", "wrap", "json", "escape"
NESTED_ARRAYS = (REFUSE, WRAP, JSON)
IDS = (REFUSE, ESCAPE)
