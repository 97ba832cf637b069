"""The health checks as the code has them: every place that makes a Check, with its words. For docs/health.md."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator
from typing import Any

FIELDS = ("id", "verdict", "reason", "fix")
# What the customer notices first. Those that are not named come after, by name.
FIRST = ("stacks", "proxy", "controller", "guest")


def checks(packages: pathlib.Path) -> list[dict[str, Any]]:
    """For each function that makes checks what it is about, and the checks it may make; in the order of the code."""
    found = []
    # preflight.py is another module's: what a guest must have before there is anything to check.
    health = {path.stem: path for path in sorted(packages.glob("_health/*.py")) if path.stem != "preflight"}
    ordered = [health.pop(name) for name in FIRST] + list(health.values())
    shared = _assigned(ast.parse((packages / "_health/check.py").read_text()).body)
    for path in [*ordered, packages / "_tasks/end.py"]:
        tree = ast.parse(path.read_text())
        constants = shared | _assigned(tree.body)
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            rows = [
                {field: _words(argument, constants | _before(function, call)) for field, argument in _arguments(call)}
                for call in sorted(ast.walk(function), key=lambda node: getattr(node, "lineno", 0))
                if isinstance(call, ast.Call) and ast.unparse(call.func) in ("Check", "_check.Check")
            ]
            if rows:
                about = ast.get_docstring(function).partition(".")[0]
                found.append({"about": about, "rows": [row for row in rows if row["verdict"] != "ok"] or rows})
    return found


def _arguments(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    return zip(FIELDS, call.args, strict=True)


def _before(function: ast.FunctionDef, call: ast.Call) -> dict[str, ast.expr]:
    """What the function's names mean where the check is made: the assignments above it."""
    return _assigned(
        [node for node in ast.walk(function) if isinstance(node, ast.Assign) and node.lineno < call.lineno]
    )


def _assigned(statements: list[Any]) -> dict[str, ast.expr]:
    ordered = sorted((node for node in statements if isinstance(node, ast.Assign)), key=lambda node: node.lineno)
    return {node.targets[0].id: node.value for node in ordered if isinstance(node.targets[0], ast.Name)}


def _words(node: ast.expr, names: dict[str, ast.expr]) -> str:
    """An expression as text, with NAMES in the place of what only a guest knows."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_words(value, names) for value in values)
        case ast.FormattedValue(value=ast.Name(id=name)) if name in names and _is_fixed(names[name]):
            return _words(names[name], names)
        case ast.FormattedValue(value=value):
            return _placeholder(value)
        case ast.Name(id=name) if name in names:
            return _words(names[name], {key: value for key, value in names.items() if key != name})
        case ast.IfExp(body=body, orelse=other):
            return f"{_words(body, names)} or {_words(other, names)}"
        case ast.BinOp(left=left, op=ast.Add()):
            return _words(left, names)
        case _:
            return _placeholder(node)


def _is_fixed(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


def _placeholder(node: ast.expr) -> str:
    """The last name in an expression stands for what it gives."""
    if isinstance(node, ast.Call) and node.args:
        return _placeholder(node.args[0])
    named = [child for child in ast.walk(node) if isinstance(child, ast.Name | ast.Attribute)]
    match named[0] if named else node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return f"<{name.strip('_').replace('_', ' ')}>"
        case _:
            return "<value>"
