"""Tables of SQL databases as sources: how they are reached, what they declare, their rows in the server's own text."""
