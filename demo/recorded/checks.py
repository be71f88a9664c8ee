"""What can be seen of a calculated answer without knowing the right one: twelve numbers read from its text."""

import ast
import math
import operator
import re

_SUM = re.compile(r"<<([^<>=]+)=([^<>]+)>>")
_PLAIN = re.compile(r"(\d[\d,.]*\s*[-+*/x]\s*\$?\d[\d,.]*)\s*=\s*\$?(\d[\d,]*\.?\d*)")
_NUMBER = re.compile(r"\d[\d,]*\.?\d*")
_FINAL = re.compile(r"####\s*\$?(-?[\d,]*\.?\d+)")
_HEDGE = re.compile(r"\b(?:assum\w*|approximately|about|however|unclear|cannot|mistake|wait)\b", re.IGNORECASE)
_DO = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
# Sums are rounded as people round them.
_CLOSE = 0.01


def of_answer(question: str, answer: str) -> list[float]:
    """The numbers, in one order: length, sums written, sums that do not come out, plain sums that do not come out,

    given numbers that are not used, their share, whether there is a final line, whether its number comes of a sum, is
    whole, or was given, its size, and hedging words.
    """
    sums = _SUM.findall(answer)
    plain = _PLAIN.findall(_SUM.sub("", answer))
    given, used = _numbers(question), _numbers(answer)
    final = _FINAL.search(answer)
    last = _NUMBER.findall(answer)
    said = value(final[1] if final else last[-1]) if final or last else None
    unused = len(given - used)
    return [
        len(answer) / 100,
        len(sums),
        sum(_does_not_come_out(left, right) for left, right in sums),
        sum(_does_not_come_out(left, right) for left, right in plain),
        unused,
        unused / max(1, len(given)),
        final is not None,
        said in {value(right) for _left, right in sums},
        said is not None and said == int(said),
        said in given,
        math.log1p(abs(said or 0)),
        len(_HEDGE.findall(answer)),
    ]


def value(text: str) -> float | None:
    """What a number or a sum comes to; None for anything else."""
    plain = re.sub(r"[$,\s]", "", text).replace("x", "*").replace("X", "*").replace("%", "/100").rstrip(".")
    try:
        return _value(ast.parse(plain, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError):
        return None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _DO:
            return float(_DO[type(sign)](_value(left), _value(right)))
    raise ValueError


def _does_not_come_out(left: str, right: str) -> bool:
    made, said = value(left), value(right)
    return made is not None and said is not None and abs(made - said) > _CLOSE * max(1, abs(made))


def _numbers(text: str) -> set[float]:
    return {found for each in _NUMBER.findall(text) if (found := value(each)) is not None}
