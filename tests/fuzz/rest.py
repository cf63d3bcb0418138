"""Requests to the gateway, most of them nearly what its documentation asks for."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

from tests.fuzz import seeds
from tests.fuzz.mutators import FLOATS, INTEGERS, TEXTS, mutated_bytes
from tests.fuzz.target import joined

_QUERIES = {
    "v1/results": (
        *("target", "instrument", "name", "fingerprint", "kind", "observed_from", "observed_until", "fitted_from"),
        *("log_temperature_min", "log_temperature_max", "log_density_min", "log_density_max", "include_superseded"),
        *("page_size", "page_token", "unknown"),
    ),
    "v1/dead-letters": ("stage", "page_size", "page_token"),
}
_VALUES = (
    *("capella*", "single", "joint", "true", "100", "0", "1001", "-1", "6.5", "nan", "inf", "1e400"),
    *("2024-03-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2024-03-01", "now"),
    *("W0luZmluaXR5LCAieCJd", "WzEsICJ4Il0=", "W1tbW1tb", "fitting"),
)


def drawn_request(random: random.Random) -> bytes:
    """Return method, path with query, content type and body of a request."""
    if random.random() < 0.6:
        return joined([b"POST", b"v1/spectra", b"application/json", _body(random)])
    path = random.choice((*_QUERIES, "v1/results/" + _word(random), "v1/results/" + _word(random) + "/draws"))
    names = _QUERIES.get(path, ())
    asked = {random.choice(names): _word(random) for _ in range(random.randrange(4))} if names else {}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked.items())
    method = random.choice((b"GET", b"GET", b"GET", b"GET", b"POST", b"DELETE", b"HEADx"))
    return joined([method, f"{quote(path, safe='/')}?{query}".encode(), b"", b""])


def _word(random: random.Random) -> str:
    chosen = random.choice((*_VALUES, *TEXTS, seeds.posterior().result_id, seeds.posterior().fingerprints[0]))
    return chosen.replace("\x1f", "")


def spectrum() -> dict[str, Any]:
    """Return a spectrum as the gateway takes it."""
    return {
        "target": "sun/ar12807/x012y007",
        "instrument": "hinode-eis",
        "source": "resolved",
        "exposures": [{"seconds": 10.0, "start": "2021-03-06T06:44:44Z", "name": "first"}],
        "channels": [
            {
                "name": "fe-12-187",
                "wavelength_edges": [186.82, 186.84, 186.86, 186.88, 186.9],
                "statistic": "counts_with_read_noise",
                "counts": [3.5, 80.25, 120.0, 40.0],
                "area_exposure": [1e-10, 1.1e-10, 1.2e-10, 1.3e-10],
                "mask": [True, True, True, False],
                "read_variance": [4.0, 4.0, 4.0, 4.0],
            }
        ],
        "distance_pc": 0.0,
        "name": "pixel",
        "annotations": {"observer": "nobody"},
        "plasma_model": "isothermal",
    }


def _body(random: random.Random) -> bytes:
    given: Any = spectrum()
    for _ in range(random.randrange(4)):
        _change(random, given)
    if random.random() < 0.03:
        given = _strange(random)
    # As a careless client writes it: NaN and Infinity are words of JavaScript, not of JSON.
    data = json.dumps(given).encode()
    return mutated_bytes(random, data, []) if random.random() < 0.3 else data


def _change(random: random.Random, given: Any) -> None:
    """Change, remove or add something somewhere in a JSON value."""
    place = given
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = random.choice(keys)
        if not isinstance(place[key], dict | list) or not place[key] or random.random() < 0.3:
            break
        place = place[key]
    match random.randrange(4):
        case 0:
            del place[key]
        case 1 if isinstance(place, list):
            place.extend([place[key]] * random.choice((1, 3, 300)))
        case 2 if isinstance(place, dict):
            place[random.choice(("unknown", "\ud800", ""))] = 1
        case _:
            place[key] = _strange(random)


def _strange(random: random.Random) -> Any:
    deep: Any = []
    for _ in range(random.choice((1, 5, 90))):
        deep = [deep]
    return random.choice((None, True, {}, deep, "\ud800", *TEXTS, *FLOATS, *INTEGERS, 10**400, "1e9", _VALUES[12]))
