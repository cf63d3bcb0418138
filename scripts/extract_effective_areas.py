"""Make the compact effective areas that the package ships, from the published files.

Reads CORONIUM_SHARED (default ../shared) and writes

    services/coronium/physics/data/effective_areas.npz   MEG and EUVE areas, ACIS principal components
    services/coronium/physics/data/eis_calibration.npz   Hinode/EIS areas by epoch, spread of the versions

Sources: Chandra MEG from the ACIS-S cycle 7 ARFs, EUVE from the mission's first-order areas, both as
distributed with PINTofALE (Kashyap & Drake 2000, BASI 28, 475); ACIS area components of Lee et al. 2011
(ApJ 731, 126); Hinode/EIS: Lang et al. 2006 (Appl. Opt. 45, 8689), Warren et al. 2014 (ApJS 213, 11),
Del Zanna et al. (arXiv:2308.06609), Young & Mondal 2024.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.interpolate import CubicSpline
from scipy.io import readsav

from coronium.physics.instruments.calibration import principal_modes

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CORONIUM_SHARED", REPOSITORY.parent / "shared")) / "data"
DATA = REPOSITORY / "services" / "coronium" / "physics" / "data"
MEG_EDGES = np.linspace(5.0, 25.0, 2001)
ACIS_COMPONENTS = 6
EIS_LAUNCH = 2006.73
"""2006-09-22, from which Warren et al. (2014) count their decay times."""


def read_arf(path: Path, wavelength: np.ndarray) -> np.ndarray:
    """Effective area of an OGIP ARF at `wavelength` (Angstrom), cm2."""
    table = fits.getdata(path, "SPECRESP")
    centre = 0.5 * (table["BIN_LO"].astype(float) + table["BIN_HI"])
    order = np.argsort(centre)
    return np.interp(wavelength, centre[order], table["SPECRESP"][order])


def chandra_meg() -> dict[str, np.ndarray]:
    """Sum of the first orders on 0.01 A bins, with the leading ACIS components as ln(area)."""
    wavelength = 0.5 * (MEG_EDGES[1:] + MEG_EDGES[:-1])
    areas = SHARED / "effective_areas"
    area = sum(read_arf(areas / f"aciss_meg{order}1_cy07.garf", wavelength) for order in ("", "-"))
    with fits.open(SHARED / "chandra_arf_pca" / "aref_Cedge.fits") as file:
        table, components = file["SPECRESP"].data, file["PCACOMP"].data
        centre = 12.398419843 / (0.5 * (table["ENERG_LO"].astype(float) + table["ENERG_HI"]))
        strongest = components["EIGENVAL"][:ACIS_COMPONENTS, None] * components["EIGENVEC"][:ACIS_COMPONENTS]
        relative = strongest / np.maximum(table["SPECRESP"], 1e-3)
    modes = np.array([np.interp(wavelength, centre[::-1], mode[::-1]) for mode in relative])
    return {"meg_edges": MEG_EDGES, "meg_area": area, "meg_modes": modes}


def euve() -> dict[str, np.ndarray]:
    """First-order areas of the three spectrometers on their 1 A grid."""
    result = {}
    for name in ("sw", "mw", "lw"):
        table = fits.getdata(SHARED / "effective_areas" / f"{name}_ea.FITS", 1)
        first = table["order"] == -1
        result[f"euve_{name}_wavelength"] = table["wavelength"][first].astype(float)
        result[f"euve_{name}_area"] = table["effarea"][first].astype(float)
    return result


def warren_2014(calibration: np.recarray, band: str, wavelength: np.ndarray, year: float) -> np.ndarray:
    """Warren et al. (2014): knots that decay exponentially, a spline of ln(area) between them."""
    knots = calibration[f"WAVE_KNOTS_{band}"]
    area = calibration[f"A0_{band}"] * np.exp(-(year - EIS_LAUNCH) / calibration[f"TAU_{band}"])
    return np.exp(CubicSpline(knots, np.log(area), bc_type="natural")(wavelength))


def eis() -> dict[str, np.ndarray]:
    """Areas by epoch (Del Zanna et al.), before launch, and the modes of how the versions differ.

    Each version is compared with Del Zanna et al. at an epoch to which it belongs: the laboratory one at
    the start of the mission, Warren et al. over the years they fitted (2007-2012), Young & Mondal (flare of
    2024) at the last epoch. A difference of two calibrations carries the error of both, hence the half.
    """
    folder = SHARED / "eis_calibration"
    fitted = readsav(folder / "fit_eis_ea_2023-05-04.sav")["fit_ea"][0]
    warren = readsav(folder / "eis_calib_warren_2014.sav")["eis"][0]
    result: dict[str, np.ndarray] = {"year": fitted["YEAR_FR"].astype(float)}
    grids, differences = {}, {"laboratory": [], "warren": [], "young": []}
    for band, file in (("SW", "short"), ("LW", "long")):
        laboratory = readsav(folder / f"preflight_calib_{file}.sav")
        grid = laboratory["wave"].astype(float)
        areas = fitted[f"{band}_EA"].astype(float)
        name = band.lower()
        result[f"{name}_wavelength"] = grid
        result[f"{name}_preflight"] = laboratory["ea"].astype(float)
        result[f"{name}_area"] = areas
        # The ends of the bands hold no line that any version was fitted to.
        inside = (grid >= (180 if band == "SW" else 250)) & (grid <= (205 if band == "SW" else 282))
        grids[band] = grid[inside]
        young = np.loadtxt(
            folder / f"data/young_mondal_2024/eis_eff_area_cont_20240930_{name}.txt",
            comments="#",
            usecols=(0, 1),
        )
        differences["laboratory"].append(np.log(laboratory["ea"] / areas[:, 0])[inside][None])
        fitted_years = [i for i, year in enumerate(result["year"]) if year < 2013]
        differences["warren"].append(
            np.array(
                [np.log(warren_2014(warren, band, grid, result["year"][i]) / areas[:, i])[inside] for i in fitted_years]
            )
        )
        differences["young"].append(np.log(np.interp(grid, *young.T)[inside] / areas[inside, -1])[None])
    covariance = np.zeros((sum(map(len, grids.values())),) * 2)
    for version in differences.values():
        rows = np.concatenate(version, axis=1)
        covariance += 0.5 * rows.T @ rows / len(rows) / len(differences)
    result["mode_wavelength"] = np.concatenate([grids["SW"], grids["LW"]])
    result["modes"] = principal_modes(covariance, 0.95)
    print(
        "EIS: rms of ln(area):",
        np.sqrt(np.mean(np.diag(covariance))).round(3),
        "modes:",
        len(result["modes"]),
    )
    return result


def main() -> None:
    """Write both files."""
    DATA.mkdir(exist_ok=True)
    shrink = {"area": np.float32, "modes": np.float32, "preflight": np.float32}
    for name, arrays in (("effective_areas", {**chandra_meg(), **euve()}), ("eis_calibration", eis())):
        compact = {key: value.astype(shrink.get(key.split("_")[-1], np.float64)) for key, value in arrays.items()}
        np.savez_compressed(DATA / f"{name}.npz", **compact)
        print(name, (DATA / f"{name}.npz").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
