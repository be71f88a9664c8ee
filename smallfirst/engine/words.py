"""Small turns of phrase that several sentences of the engine share."""

from collections.abc import Sequence


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Write two numbers between 0 and 1 with two decimals, and with more only where that tells them apart."""
    digits = 2
    while one != other and f"{one:.{digits}f}" == f"{other:.{digits}f}":
        digits += 1
    return f"{one:.{digits}f}", f"{other:.{digits}f}"


def share(number: float) -> str:
    """Write a number between 0 and 1 with two decimals, and with more only where they say something."""
    text = f"{number:.2f}"
    return text if float(text) == number else repr(number)


def listed(words: Sequence[str], last: str = "and") -> str:
    """Write ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def plural(count: int, noun: str) -> str:
    """Write ``1 word`` or ``2 words``, thousands grouped."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
