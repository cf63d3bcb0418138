"""Where settings come from: environment, secret files, one TOML file; and which names there are."""

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from coronium.runtime.errors import SettingsError

PREFIX = "CORONIUM_"
SETTINGS_FILE = "CORONIUM_SETTINGS_FILE"
SERVICES = ("ingestion", "extraction", "fitting", "results", "gateway", "client", "operations")
"""Names that may follow the prefix; a service checks the fields of its own only."""

OTHER_NAMES = frozenset({SETTINGS_FILE, "CORONIUM_TOKEN", "CORONIUM_TOKEN_FILE", "CORONIUM_SHARED", "CORONIUM_REQUIRE"})
"""Names in the environment that are no settings of a service: the file itself, a client's token, the tests' own."""


@dataclass(frozen=True)
class Leaf:
    """One value that can be set: its path through the sections, and its declaration."""

    path: tuple[str, ...]
    field: FieldInfo

    def names(self, service: str) -> tuple[str, str]:
        """Return its names in the environment, the more particular first."""
        tail = "__".join(self.path).upper()
        return f"{PREFIX}{service.upper()}__{tail}", f"{PREFIX}{tail}"

    @property
    def secret(self) -> bool:
        """Whether the value must never be shown."""
        return self.field.annotation is SecretStr


@dataclass(frozen=True)
class Origin:
    """A field, its value as text (secrets masked) and where the value came from."""

    name: str
    value: str
    origin: str
    description: str


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Walk over all values of a settings class, sections opened."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, (*path, name))
        else:
            yield Leaf((*path, name), field)


class _Environment(PydanticBaseSettingsSource):
    """One of the two names of every field, directly or through a file that holds the value."""

    def __init__(self, settings_cls: type[BaseSettings], service: str, which: int) -> None:
        super().__init__(settings_cls)
        self._service = service
        self._which = which

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("values are read by path")

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for leaf in leaves(self.settings_cls):
            found = read(leaf.names(self._service)[self._which])
            if found is not None:
                _put(values, leaf.path, found[0])
        return values


class _File(PydanticBaseSettingsSource):
    """The TOML file: the service's own table over what stands outside all tables of services."""

    def __init__(self, settings_cls: type[BaseSettings], service: str) -> None:
        super().__init__(settings_cls)
        self._service = service

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("values are read by path")

    def __call__(self) -> dict[str, Any]:
        content = read_file()
        shared = {name: value for name, value in content.items() if name not in SERVICES}
        known = set(self.settings_cls.model_fields)
        values: dict[str, Any] = {name: value for name, value in shared.items() if name in known}
        own = content.get(self._service, {})
        for name, value in own.items():
            if isinstance(value, dict) and isinstance(values.get(name), dict):
                values[name] = {**values[name], **value}
            else:
                values[name] = value
        return values


def sources(settings_cls: type[BaseSettings], service: str) -> tuple[PydanticBaseSettingsSource, ...]:
    """Return the sources after the flags, the strongest first."""
    return (
        _Environment(settings_cls, service, 0),
        _Environment(settings_cls, service, 1),
        _File(settings_cls, service),
    )


def read(name: str) -> tuple[str, str] | None:
    """Return (value, where from) of a name in the environment, or None.

    Raises
    ------
    SettingsError
        Both the name and its ``_FILE`` are set, or the file cannot be read.
    """
    direct, pointer = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if direct is not None and pointer is not None:
        raise SettingsError(f"{name} and {name}_FILE are both set; keep one.")
    if direct is not None:
        return direct, name
    if pointer is None:
        return None
    try:
        return Path(pointer).read_text(encoding="utf-8").rstrip("\r\n"), f"{name}_FILE"
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE names {pointer}, which cannot be read: {error}.") from None


def read_file() -> dict[str, Any]:
    """Return the content of the settings file; empty where none is named.

    Raises
    ------
    SettingsError
        The file is named but cannot be read, or is not TOML.
    """
    path = os.environ.get(SETTINGS_FILE)
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{SETTINGS_FILE} names {path}, which cannot be read: {error}.") from None


def refuse_unknown_names(models: Sequence[type[BaseModel]], service: str) -> None:
    """Raise `SettingsError` for a name in the environment or the file that no setting has.

    Names of other services are theirs to check. `models` are the settings of this one, and the part that all
    services have in common: a name without a service may be meant for another.
    """
    fields = {name for model in models for name in model.model_fields}
    for name, value in read_file().items():
        if name in SERVICES and not isinstance(value, dict):
            raise SettingsError(f"{name} in {os.environ[SETTINGS_FILE]} is not a table.")
        if name not in SERVICES and name not in fields:
            raise SettingsError(
                f"{name} in {os.environ[SETTINGS_FILE]} is neither the table of a service nor a setting of {service}."
                + _nearest(name, {*fields, *SERVICES})
            )
    own = {name for model in models for leaf in leaves(model) for name in leaf.names(service)}
    own |= {f"{name}_FILE" for name in own}
    others = tuple(f"{PREFIX}{other.upper()}__" for other in SERVICES if other != service)
    for name in sorted(os.environ):
        if not name.startswith(PREFIX) or name in own or name in OTHER_NAMES or name.startswith(others):
            continue
        raise SettingsError(f"{name} is not a setting of {service}.{_nearest(name, own)}")


def explain(error: ValidationError, service: str) -> str:
    """Return one sentence per fault of a validation, with the name to set and without the secret values."""
    sentences = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join(str(part) for part in fault["loc"])
        words = fault["msg"].removeprefix("Value error, ")
        name = f"{PREFIX}{service.upper()}__{path.replace('.', '__').upper()}"
        # What several settings have wrong together is no single one's.
        sentences.append(f"{path}: {words} (set {name})" if path else words)
    return f"the settings of {service} are wrong: " + "; ".join(sentences) + "."


def origins(model: type[BaseModel], loaded: BaseModel, service: str, flags: Mapping[str, Any]) -> list[Origin]:
    """Return each leaf of loaded settings with the place its value came from."""
    content = read_file()
    result = []
    for leaf in leaves(model):
        value: Any = loaded
        for part in leaf.path:
            value = getattr(value, part)
        result.append(
            Origin(
                name=".".join(leaf.path),
                value=("********" if value.get_secret_value() else "") if leaf.secret else str(value),
                origin=_origin(leaf, service, flags, content),
                description=leaf.field.description or "",
            )
        )
    return result


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _origin(leaf: Leaf, service: str, flags: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    if _get(flags, leaf.path) is not None:
        return "flag"
    for name in leaf.names(service):
        found = read(name)
        if found is not None:
            return found[1]
    if _get(content, (service, *leaf.path)) is not None or _get(content, leaf.path) is not None:
        return os.environ[SETTINGS_FILE]
    return "default"


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value


def _get(values: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return None
        values = values[part]
    return values
