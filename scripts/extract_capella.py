"""Make the compact extract of Capella's Chandra LETG/HRC-S spectra that the package ships.

Reads CORONIUM_SHARED (default ../shared) and writes services/coronium/physics/data/capella_letg.npz.

Source: ISSI atomic-data team, github.com/hpwarren/ISSIAtomicData; Yu et al. 2024, arXiv:2404.10427.
The two wavelength files overlap in 17-18 A: bins below 17.50 A come from the first, bins above from the
second, and the sliver between their grids (0.0035 A, no line of Capella lies there) becomes one empty bin.
Bins are joined in pairs: 0.0134 A, a quarter of the line width.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CORONIUM_SHARED", REPOSITORY.parent / "shared")) / "data" / "capella_chandra_letg"
OUTPUT = REPOSITORY / "services" / "coronium" / "physics" / "data" / "capella_letg.npz"
STEP = 0.0067
CUT = 17.5
AREA_STEP = 2.0e-4
"""Areas are stored as integers of ln(area / mean area) in this step: rounded to 0.01 %."""


def read_table(path: Path) -> tuple[list[str], np.ndarray]:
    """Column names and rows of an .rdb table."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return lines[0].split(), np.array([line.split() for line in lines[2:]], dtype=float)


def read_order(order: str) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """ObsIDs, edges (N + 1,), counts, background and area x exposure (25, N; cm2 ks) of one order."""
    halves = []
    for span, start in (("11t18", 11.0), ("17t23", 17.0)):
        names, counts = read_table(SHARED / f"hl{order}_ct_{span}.rdb")
        area_names, area = read_table(SHARED / f"hl{order}_ea_{span}.rdb")
        observations = [name.split("_")[-1] for name in names[4::2]]
        if observations != [name.split("_")[-1] for name in area_names[4:]]:
            raise ValueError(f"counts and areas of order {order}, {span} list different ObsIDs")
        edges = start + STEP * np.arange(len(counts) + 1)
        if np.abs(edges[:-1] - counts[:, 0]).max() > 6e-5:
            raise ValueError(f"order {order}, {span} is not on the regular grid")
        below = start < CUT - 1
        use = (edges[1:] <= CUT) if below else (edges[:-1] >= CUT)
        first, last = np.flatnonzero(use)[[0, -1]]
        last -= (last - first + 1) % 2
        pairs = slice(first, last + 1)
        halves.append(
            (
                edges[first : last + 2 : 2],
                counts[pairs, 4::2].T.reshape(len(observations), -1, 2).sum(axis=2),
                counts[pairs, 5::2].T.reshape(len(observations), -1, 2).sum(axis=2),
                area[pairs, 4:].T.reshape(len(observations), -1, 2).mean(axis=2),
            )
        )
    (edges1, counts1, background1, area1), (edges2, counts2, background2, area2) = halves
    empty = np.zeros((len(observations), 1))
    between = 0.5 * (area1[:, -1:] + area2[:, :1])
    return (
        observations,
        np.concatenate([edges1, edges2]),
        np.concatenate([counts1, empty, counts2], axis=1),
        np.concatenate([background1, empty, background2], axis=1),
        np.concatenate([area1, between, area2], axis=1),
    )


def main() -> None:
    """Write the extract."""
    _, rows = read_log(SHARED / "Capella_obslog.rdb")
    log = {row[0].zfill(5): row for row in rows}
    arrays: dict[str, np.ndarray] = {}
    for order, name in (("n", "negative"), ("p", "positive")):
        observations, edges, counts, background, area = read_order(order)
        mean = area.mean(axis=0)
        arrays |= {
            "edges": edges,
            f"{name}_counts": counts.astype(np.uint16),
            f"{name}_background": background.astype(np.uint16),
            f"{name}_area_mean": mean.astype(np.float32),
            f"{name}_area_log": np.rint(np.log(area / mean) / AREA_STEP).astype(np.int16),
        }
    arrays["area_step"] = np.array(AREA_STEP)
    arrays["obsid"] = np.array([int(name) for name in observations], dtype=np.int32)
    arrays["date"] = np.array([log[name][1] for name in observations])
    arrays["exposure_ks"] = np.array([float(log[name][3]) for name in observations])
    arrays["backscal"] = np.array([float(log[name][4]) for name in observations], dtype=np.float32)
    np.savez_compressed(OUTPUT, **arrays)
    print(OUTPUT.name, OUTPUT.stat().st_size, "bytes,", len(observations), "ObsIDs,", len(edges) - 1, "bins")


def read_log(path: Path) -> tuple[list[str], list[list[str]]]:
    """Column names and rows of the observing log."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return lines[0].split(), [line.split() for line in lines[2:]]


if __name__ == "__main__":
    main()
