"""Which scope each method needs: one table for all services.

A method that is not here is refused to everybody, so that nobody adds one and forgets to protect it.
"""

from enum import StrEnum


class Scope(StrEnum):
    """What a principal may do."""

    READ = "read"
    SUBMIT = "submit"
    CONTROL = "control"
    ADMIN = "admin"
    """Everything, and reflection."""


OPEN: frozenset[Scope] = frozenset()
"""No token is asked for."""

SUBMISSION = frozenset({Scope.SUBMIT})
"""A spectrum comes in."""

_READ = frozenset({Scope.READ})
_CONTROL = frozenset({Scope.CONTROL})

METHODS: dict[str, frozenset[Scope]] = {
    "/coronium.v1.ResultsService/Get": _READ,
    "/coronium.v1.ResultsService/List": _READ,
    "/coronium.v1.ResultsService/Draws": _READ,
    "/coronium.v1.ResultsService/Watch": _READ,
    "/coronium.v1.ResultsService/ListDeadLetters": _READ,
    "/coronium.v1.IngestionService/Submit": SUBMISSION,
    "/coronium.v1.IngestionService/SubmitStream": SUBMISSION,
    "/coronium.v1.ControlService/Status": _READ | _CONTROL,
    "/coronium.v1.ControlService/Pause": _CONTROL,
    "/coronium.v1.ControlService/Resume": _CONTROL,
    "/coronium.v1.ControlService/Drain": _CONTROL,
    "/coronium.v1.ControlService/Reload": _CONTROL,
    "/coronium.v1.ControlService/SetLogLevel": _CONTROL,
    "/grpc.health.v1.Health/Check": OPEN,
    "/grpc.health.v1.Health/List": _READ,
    # A stream without end: a stranger could hold as many as the server has room for.
    "/grpc.health.v1.Health/Watch": _READ | _CONTROL,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": frozenset({Scope.ADMIN}),
}
"""Full name of a method -> scopes of which one is enough."""


def allows(held: frozenset[Scope], needed: frozenset[Scope]) -> bool:
    """Return whether one of the scopes that a principal holds is enough."""
    return bool(held & (needed | {Scope.ADMIN}))
