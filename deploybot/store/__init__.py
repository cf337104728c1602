"""The SQLite database: one writer thread, one file a repository of rows."""
