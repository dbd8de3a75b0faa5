"""Parts of the comparison with other tools, ``benchmarks/peers.py``."""
