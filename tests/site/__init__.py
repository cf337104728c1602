"""The documentation's site: what `make docs` changes, the pages that are made from the code, and their tests."""
