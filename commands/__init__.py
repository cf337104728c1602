"""Chat commands, one file each; they import only the public API of `deploybot`."""
