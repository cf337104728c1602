"""Every way in which Compose and the Engine refuse or break off, and what serves while and after that."""
