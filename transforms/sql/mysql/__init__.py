"""Tables of MySQL and MariaDB: reached by PyMySQL, read as the server's own text."""
