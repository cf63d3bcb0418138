"""The reference of all settings, made from the classes that read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import SecretStr

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from coronium.runtime.settings import Settings

_HOMES = {"client": "coronium.cli.settings"}


def settings_class(service: str) -> type[Settings]:
    """Return the settings class of a service.

    Raises
    ------
    LookupError
        There is no such service.
    """
    from coronium.runtime.settings import Settings

    module = import_module(_HOMES.get(service, f"coronium.{service}.settings"))
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Settings) and value.service == service:
            return value
    raise LookupError(f"no settings of {service}")


def reference(services: Iterable[str]) -> str:
    """Return docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Written by `coronium config schema` from the settings classes; change those.",
        "",
        "Every setting is read from a flag, then the environment, then the file that `CORONIUM_SETTINGS_FILE` names",
        "(TOML, a table per service), then its default. `CORONIUM_<SERVICE>__<FIELD>` is for one service,",
        "`CORONIUM_<FIELD>` for all that have the field; the first wins. A name with `_FILE` behind it names a file",
        "that holds the value. An unknown name is an error. `coronium config show SERVICE` prints what is set.",
    ]
    for title, fields in _sections(services):
        lines += ["", f"## {title}", "", "| name | default | values | meaning |", "|---|---|---|---|"]
        for name, field in fields:
            lines.append(f"| `{name}` | {_code(_default(field))} | {_values(field)} | {field.description or ''} |")
    return "\n".join(lines) + "\n"


def environment_example(services: Iterable[str]) -> str:
    """Return .env.example: every name with its default, commented out."""
    lines = ["# Every setting with its default; docs/settings.md says what each means."]
    for title, fields in _sections(services):
        lines += ["", f"# {title}"]
        lines += [f"# {name}={_default(field)}" for name, field in fields]
    return "\n".join(lines) + "\n"


def _sections(services: Iterable[str]) -> Iterator[tuple[str, list[tuple[str, FieldInfo]]]]:
    """Iterate over (title, settings by name): what all services share first, then what each has beyond that."""
    from coronium.runtime.settings import ServiceSettings
    from coronium.runtime.settings_sources import leaves

    common = {leaf.path: leaf for leaf in leaves(ServiceSettings)}
    yield "Every service", [(leaf.names("any")[1], leaf.field) for leaf in common.values()]
    for service in services:
        own = [
            leaf
            for leaf in leaves(settings_class(service))
            if leaf.path not in common or _default(leaf.field) != _default(common[leaf.path].field)
        ]
        if own:
            yield service, [(leaf.names(service)[0], leaf.field) for leaf in own]


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None or field.default is None:
        return ""
    if isinstance(field.default, SecretStr):
        return field.default.get_secret_value()
    return str(field.default)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _values(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is UnionType:
        annotation = get_args(annotation)[0]
    kind = {str: "text", int: "whole number", float: "number", bool: "true or false", SecretStr: "secret"}
    bounds = [
        f"{sign} {getattr(constraint, name):g}"
        for constraint in field.metadata
        for name, sign in (("gt", ">"), ("ge", "at least"), ("lt", "<"), ("le", "at most"))
        if getattr(constraint, name, None) is not None
    ]
    return ", ".join([kind.get(annotation, "path"), *bounds])
