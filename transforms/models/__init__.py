"""Results of language models: the lines that providers write, and the answers inside them. Plain Python."""
