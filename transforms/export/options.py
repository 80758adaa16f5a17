"""What an export can be asked to make of documents, and of rows.

layout      tables
flat        TABLE, one typed row per document
changelog   TABLE, one row per change, as Firebase's extension has it
both        TABLE, flat, and TABLE_changelog

write       what becomes of the flat rows
append      they are added; TABLE_latest shows one per document
merge       they are staged, and merged at the end: the newer update_time wins
replace     they are staged, and take the place of all rows at the end

deletes     what becomes of rows whose documents are gone
mark        deleted_at is set; a changelog gets a DELETE
remove      they are taken out
ignore      nothing

consistency of which state the rows of a database's table are
snapshot    one state, which the job's own process holds until the run ends
ranges      every range of keys as it is when it is read; a run that was interrupted resumes so
"""

FLAT, CHANGELOG, BOTH = "flat", "changelog", "both"
LAYOUTS = (FLAT, CHANGELOG, BOTH)

APPEND, MERGE, REPLACE = "append", "merge", "replace"
WRITES = (APPEND, MERGE, REPLACE)

MARK, REMOVE, IGNORE = "mark", "remove", "ignore"
DELETES = (MARK, REMOVE, IGNORE)

SNAPSHOT, RANGES = "snapshot", "ranges"
CONSISTENCIES = (SNAPSHOT, RANGES)
