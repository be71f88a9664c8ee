"""Measures what the product costs, beside its peers, on this machine: `./run bench NAME`. Nothing of it is imported."""
