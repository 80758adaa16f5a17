"""Documents, and rows of tables and files, on their way into BigQuery: their tables, and what is merged at the end."""
