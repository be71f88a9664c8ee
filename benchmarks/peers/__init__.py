"""The peers: each in a virtual environment of its own, filled from a lock with hashes, and started as it recommends."""
