"""Permissions on the Kafka cluster as a person, a machine or the documentation reads them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import typer
from rich.table import Table

from coronium.cli import output
from coronium.contract.access import PURPOSES, Permission, Resource, Role, permissions
from coronium.contract.topics import TopicNames
from coronium.operations.access import AccessReport, Grant


def principals(options: Iterable[str]) -> dict[Role, str]:
    """Read ``role=User:name`` options. Raises `typer.BadParameter`."""
    chosen = {}
    for option in options:
        role, _, principal = option.partition("=")
        if role not in set(Role) or ":" not in principal:
            raise typer.BadParameter(
                f"{option!r} is not ROLE=TYPE:NAME, for example ingestion=User:x; the roles are {', '.join(Role)}"
            )
        chosen[Role(role)] = principal
    return chosen


def print_grants(grants: Iterable[Grant]) -> None:
    """Print one line for each principal and operation."""
    table = Table(header_style="bold")
    for heading in ("principal", "may", "on"):
        table.add_column(heading, overflow="fold")
    for (principal, resource, operation), group in groupby(grants, lambda grant: _heading(grant)):
        names = "\n".join(grant.permission.name for grant in group)
        table.add_row(principal, operation, f"{resource}\n{names}")
    output.console().print(table)


def print_report(report: AccessReport) -> None:
    """Print what was created, and what nobody declared."""
    for grant in report.created:
        print(f"created: {grant.principal} may {grant.permission}")
    for words in report.extra:
        print(f"{'deleted' if report.pruned else 'extra, left as it is (--prune deletes it)'}: {words}")
    for words in report.wider:
        print(f"not declared, and never deleted here: {words}")
    print(f"{len(report.created)} created, {len(report.present)} were there")


def as_json(grant: Grant) -> dict[str, str]:
    """Return one permission of one principal."""
    permission = grant.permission
    return {
        "principal": grant.principal,
        "operation": permission.operation.value,
        "resource": permission.resource.value,
        "name": permission.name,
    }


def report_as_json(report: AccessReport) -> dict[str, Any]:
    """Return what was found and done."""
    return {
        "created": [as_json(grant) for grant in report.created],
        "present": [as_json(grant) for grant in report.present],
        "extra": report.extra,
        "wider": report.wider,
        "pruned": report.pruned,
    }


def markdown(names: TopicNames) -> str:
    """Return the table of docs/security.md: a row for each role, names without the prefix."""
    lines = ["| principal | who | Read | Write | else | groups |", "|---|---|---|---|---|---|"]
    for role in Role:
        granted = permissions(role, names)
        topics = [permission for permission in granted if permission.resource is Resource.TOPIC]
        groups = [permission for permission in granted if permission.resource is Resource.GROUP]
        columns = [
            _names(names, [p for p in topics if p.operation == "Read"]),
            _names(names, [p for p in topics if p.operation == "Write"]),
            _operations(names, [p for p in topics if p.operation not in ("Read", "Write")]),
            _operations(names, groups),
        ]
        lines.append(f"| `User:{role}` | {PURPOSES[role]} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _heading(grant: Grant) -> tuple[str, str, str]:
    return grant.principal, grant.permission.resource.value, grant.permission.operation.value


def _operations(names: TopicNames, granted: list[Permission]) -> str:
    """Return the names with what is permitted: all topics in one word."""
    by_name: dict[str, list[str]] = {}
    for permission in granted:
        by_name.setdefault(permission.name, []).append(permission.operation.value)
    if set(by_name) == {name for name, _ in names}:
        return f"{', '.join(next(iter(by_name.values())))}: all"
    by_operations: dict[str, list[str]] = {}
    for name, operations in by_name.items():
        by_operations.setdefault(", ".join(operations), []).append(_short(names, name))
    return "; ".join(f"{operations}: {' '.join(found)}" for operations, found in by_operations.items())


def _names(names: TopicNames, granted: list[Permission]) -> str:
    return " ".join(_short(names, permission.name) for permission in granted)


def _short(names: TopicNames, name: str) -> str:
    return f"`{name.removeprefix(f'{names.prefix}.')}`"
