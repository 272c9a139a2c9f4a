"""Measures tollgate beside other gateways on one machine. How to use it is in ../README.md."""
