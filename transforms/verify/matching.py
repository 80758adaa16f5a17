"""What names a document in both stores: its id, its path, or whichever fits the stores."""

AUTO, ID, PATH = "auto", "id", "path"
