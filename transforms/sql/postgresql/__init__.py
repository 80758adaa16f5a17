"""PostgreSQL 13 or newer as a source, by psycopg 3 and COPY in the server's own text."""
