"""Dead letters: the format of their lines, their folder, and the steps that store and replay them."""
