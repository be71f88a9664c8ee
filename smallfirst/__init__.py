"""The data plane of Smallfirst: the engine that decides, the signals it reads, the records it writes, the gateway."""
