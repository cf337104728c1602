"""Hosts on which applications run already, started by hand: taken over, deployed to, gone back on."""
