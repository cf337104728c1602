"""Measures deploybot against its peers, all sides in the same run, on the tests' laboratory: see `__main__`."""
