"""Documents on their way into BigQuery: tables made for them, rows, and what is merged at the end."""
