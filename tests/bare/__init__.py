"""Bare machines: minimal Debian 12 and 13, where `make demo` and `make test` have to pass as well.

`python -m tests.bare` (`make bare`) makes them; see `Machine` for what they have and what they lack.
"""
