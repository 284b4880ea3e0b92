"""Rows of a table chosen by ranges of columns or by an expression."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.errors import JobError
from napari_microsr.smlm.localizations import COLUMNS, Localizations

Mask = NDArray[np.bool_]

#: Names that an expression may use: columns, and the same in nm.
NAMES = (*COLUMNS, "x_nm", "y_nm", "sigma_nm", "uncertainty_nm")

_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def by_ranges(table: Localizations, ranges: Mapping[str, tuple[float, float]]) -> Mask:
    """Say which rows lie in all ranges.

    Parameters
    ----------
    table : Localizations
        The rows.
    ranges : mapping of str to (float, float)
        Lowest and highest value of some of `NAMES`, both included. NaN lies in no range.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)

    Raises
    ------
    JobError
        If there is no such column, or nothing is known of it.
    """
    mask = np.ones(len(table), bool)
    for name, (low, high) in ranges.items():
        values = _column(table, name)
        mask &= (values >= low) & (values <= high)
    return mask


def by_expression(table: Localizations, expression: str) -> Mask:
    """Say for which rows an expression holds.

    Parameters
    ----------
    table : Localizations
        The rows.
    expression : str
        Comparisons of `NAMES` and numbers with + - * / **, joined by and, or, not (or & | ~), for example
        "photons > 300 and uncertainty_nm < 25 and 10 <= frame < 500". Nothing else is understood.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)

    Raises
    ------
    JobError
        If it cannot be understood, or names a column that nothing is known of.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        with np.errstate(all="ignore"):
            result = np.asarray(_evaluate(tree.body, table))
    except (SyntaxError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise JobError(
            f"The filter {expression!r} cannot be understood.",
            "Write comparisons such as: photons > 300 and uncertainty_nm < 25.",
        ) from error
    if result.dtype != bool:
        raise JobError(f"The filter {expression!r} compares nothing.", "Write for example: photons > 300.")
    return np.broadcast_to(result, len(table)).copy()


def _evaluate(node: ast.AST, table: Localizations) -> Any:
    match node:
        case ast.Constant(value=bool() as value):
            return value
        case ast.Constant(value=int() | float() as value):
            return float(value)  # whose powers overflow, where whole numbers would grow for hours
        case ast.Name(id=name):
            return _column(table, name)
        case ast.BoolOp(op=ast.And(), values=parts):
            return _all([_evaluate(part, table) for part in parts])
        case ast.BoolOp(op=ast.Or(), values=parts):
            return ~_all([~_truth(_evaluate(part, table)) for part in parts])
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            return ~_truth(_evaluate(operand, table))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, table)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left, table), _evaluate(right, table))
        case ast.Compare(left=left, ops=ops, comparators=right) if all(type(op) in _OPERATORS for op in ops):
            values = [_evaluate(part, table) for part in (left, *right)]
            triples = zip(ops, values, values[1:], strict=False)
            return _all([_OPERATORS[type(op)](a, b) for op, a, b in triples])
        case _:
            raise ValueError(ast.dump(node))


def _all(parts: list[Any]) -> Any:
    result = _truth(parts[0])
    for part in parts[1:]:
        result = result & _truth(part)
    return result


def _truth(value: Any) -> NDArray[np.bool_]:
    mask = np.asarray(value)
    if mask.dtype != bool:
        raise ValueError("a number is no condition")
    return mask


def _column(table: Localizations, name: str) -> NDArray[Any]:
    if name not in NAMES:
        raise JobError(f"There is no column {name!r}.", f"The columns are: {', '.join(NAMES)}.")
    values: NDArray[Any] = getattr(table, name)
    if len(values) and values.dtype.kind == "f" and np.isnan(values).all():
        raise JobError(f"The table does not know {name}.", "Filter by another column.")
    # Double precision: 0.1 in a float32 column is not below 0.1.
    return values.astype(np.float64) if values.dtype.kind == "f" else values
