"""What a write does about what is stored already.

mode         what is written
versioned    only what has changed, as the next version
overwrite    everything, without looking
merge        the record's fields; others stay
create_only  only documents that do not exist yet
"""

VERSIONED, OVERWRITE, MERGE, CREATE_ONLY = "versioned", "overwrite", "merge", "create_only"
MODES = (VERSIONED, OVERWRITE, MERGE, CREATE_ONLY)
