"""What can be chosen of files, as the flags of export say it.

csv_types   what the columns of CSV are
infer       of the narrowest type in which every cell keeps its value; all cells are read once beforehand
text        all text
"""

INFER, TEXT = "infer", "text"
CSV_TYPES = (INFER, TEXT)
