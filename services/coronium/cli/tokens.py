"""`coronium tokens`: who may call the services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coronium.cli.options import Json

if TYPE_CHECKING:
    from coronium.runtime.auth.principals import Principal, Principals

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the tokens that callers of the services show.")


class ScopeName(StrEnum):
    """What a principal may do."""

    READ = "read"
    SUBMIT = "submit"
    CONTROL = "control"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(help="Of the principal: a person, an observatory, a program.")]
File = Annotated[
    Path,
    typer.Option("--file", metavar="JSON", envvar="CORONIUM_AUTH__PRINCIPALS_FILE", help="The principals file."),
]


@app.command()
def create(
    name: Name,
    file: File,
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option(help="What the principal may do, once for each; not needed for another token of one that exists."),
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="The token expires after so many days.")] = None,
    as_json: Json = False,
) -> None:
    """Make a token, print it this once, and store its hash; services take it up within a second."""
    import sys
    from datetime import timedelta

    from coronium.cli import output
    from coronium.runtime.auth.principals import StoredToken, now
    from coronium.runtime.auth.tokens import digest, new_token

    token = new_token()
    made_at = now().replace(microsecond=0)
    expires_at = None if days is None else made_at + timedelta(days=days)
    stored = StoredToken(sha256=digest(token), created_at=made_at, expires_at=expires_at)
    with _changing(file, missing_is_empty=True) as content:
        principal = _principal(content, name, [one.value for one in scope or ()])
        principal.tokens.append(stored)
    if as_json:
        output.write_json({"name": name, "id": stored.id, "scopes": sorted(principal.scopes), "token": token})
        return
    print(token)
    print(
        f"Token {stored.id} of {name} ({', '.join(sorted(principal.scopes))}); keep it, it is stored nowhere.",
        file=sys.stderr,
    )


@app.command("list")
def list_tokens(file: File, as_json: Json = False) -> None:
    """List principals with their scopes and limits, and their tokens by the beginning of the hash."""
    from rich.table import Table

    from coronium.cli import output
    from coronium.runtime.auth.principals import read

    with _explained():
        content = read(file)
    if as_json:
        output.write_json([_shown(principal) for principal in content.principals])
        return
    table = Table(header_style="bold")
    for heading in ("name", "scopes", "tokens", "calls/s", "open calls", "quarantined"):
        table.add_column(heading, overflow="fold")
    for principal in content.principals:
        tokens = [token.id + (f" until {token.expires_at}" if token.expires_at else "") for token in principal.tokens]
        limits = [str(limit or "default") for limit in (principal.calls_per_second, principal.concurrent_calls)]
        scopes = ", ".join(sorted(principal.scopes))
        table.add_row(principal.name, scopes, "\n".join(tokens), *limits, "yes" if principal.quarantined else "")
    output.console().print(table)


@app.command()
def revoke(
    name: Name,
    file: File,
    token: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this token, as `coronium tokens list` names it.")
    ] = None,
) -> None:
    """Take a principal or one of its tokens away; open calls with the token end within seconds."""
    from coronium.cli.failures import CommandError

    with _changing(file) as content:
        principal = _known(content, name)
        if token is None:
            content.principals.remove(principal)
        else:
            kept = [one for one in principal.tokens if one.id != token]
            if len(kept) == len(principal.tokens):
                raise CommandError(f"{name} has no token {token}; `coronium tokens list` shows them.")
            principal.tokens = kept
    print(f"revoked: {name}" if token is None else f"revoked: token {token} of {name}")


@app.command()
def quarantine(
    name: Name, file: File, release: Annotated[bool, typer.Option("--release", help="Let it in again.")] = False
) -> None:
    """Refuse every call of a principal until it is released."""
    with _changing(file) as content:
        _known(content, name).quarantined = not release
    print(f"{'released' if release else 'quarantined'}: {name}")


def _principal(content: Principals, name: str, scopes: list[str]) -> Principal:
    """Return the principal of a name, new where there is none."""
    from pydantic import ValidationError

    from coronium.cli.failures import CommandError
    from coronium.runtime.auth.principals import Principal
    from coronium.runtime.auth.scopes import Scope

    known = content.named(name)
    if known is not None:
        if scopes and set(scopes) != known.scopes:
            raise CommandError(
                f"{name} has the scopes {', '.join(sorted(known.scopes))}: leave --scope out to give it another token, "
                "or revoke it first."
            )
        return known
    if not scopes:
        raise typer.BadParameter(f"{name} is new: say what it may do", param_hint="--scope")
    try:
        made = Principal(name=name, scopes=frozenset(map(Scope, scopes)))
    except ValidationError:
        raise typer.BadParameter("letters, digits and . _ - @, at most 64", param_hint="NAME") from None
    content.principals.append(made)
    return made


def _known(content: Principals, name: str) -> Principal:
    from coronium.cli.failures import CommandError

    principal = content.named(name)
    if principal is None:
        raise CommandError(f"there is no principal {name}; `coronium tokens list` shows who there is.")
    return principal


def _shown(principal: Principal) -> dict[str, object]:
    content = principal.model_dump(mode="json")
    content["tokens"] = [
        {"id": token.id, **token.model_dump(mode="json", exclude={"sha256"})} for token in principal.tokens
    ]
    return content


@contextmanager
def _changing(file: Path, missing_is_empty: bool = False) -> Iterator[Principals]:
    from coronium.runtime.auth.principals import changing

    with _explained(), changing(file, missing_is_empty) as content:
        yield content


@contextmanager
def _explained() -> Iterator[None]:
    from coronium.cli.failures import CommandError
    from coronium.runtime.auth.principals import PrincipalsError

    try:
        yield
    except PrincipalsError as error:
        raise CommandError(f"{error}.") from None
