"""Reads the fields of every Struct at once, before threads could do it at the same time."""

from contextlib import suppress

import msgspec


def prepare() -> None:
    """Have msgspec work out the fields of each Struct that is defined by now, in this one thread.

    It does so when a type is first decoded, and another thread that decodes the type meanwhile reads what is half made:
    the process dies of SIGSEGV (msgspec 0.22.0). Whatever decodes in several threads calls this before it starts them.
    """
    waiting = msgspec.Struct.__subclasses__()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        # Some hold what is never read from outside; msgspec refuses to decode those at all.
        with suppress(TypeError):
            msgspec.json.Decoder(kind)
