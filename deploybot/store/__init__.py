"""Store rows in the SQLite database: one writer thread, and one file for each kind of rows."""
