"""`coronium instruments`: what the spectrometers are."""

from __future__ import annotations

from typing import Annotated

import typer

from coronium.cli.options import Json

app = typer.Typer(no_args_is_help=True, help="List or show the instruments.")


@app.command("list")
def list_instruments(as_json: Json = False) -> None:
    """List the instruments that Coronium knows by name."""
    from rich.table import Table

    from coronium.cli import output
    from coronium.physics.instruments import get_instrument, instrument_names

    known = [get_instrument(name) for name in instrument_names()]
    if as_json:
        output.write_json([{"name": i.name, "title": i.title, "source": i.source.value} for i in known])
        return
    table = Table(header_style="bold")
    for heading in ("name", "instrument", "for", "channels", "wavelengths (A)"):
        table.add_column(heading, overflow="fold")
    for instrument in known:
        low = min(channel.wavelength_edges[0] for channel in instrument.channels)
        high = max(channel.wavelength_edges[-1] for channel in instrument.channels)
        what = "resolved pixels" if instrument.source.value == "resolved" else "stars"
        table.add_row(instrument.name, instrument.title, what, str(len(instrument.channels)), f"{low:.1f}-{high:.1f}")
    output.console().print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of the instrument.")], as_json: Json = False) -> None:
    """Show the channels of an instrument: grid, line width, effective area, masked ranges."""
    import numpy as np
    from rich.table import Table

    from coronium.cli import output
    from coronium.physics.instruments import get_instrument

    instrument = get_instrument(name)
    rows = [
        {
            "channel": channel.name,
            "wavelength_low": float(channel.wavelength_edges[0]),
            "wavelength_high": float(channel.wavelength_edges[-1]),
            "bins": channel.bins,
            "fwhm": channel.fwhm,
            "largest_effective_area_cm2": float(np.max(channel.effective_area)),
            "statistic": channel.statistic.value,
            "usable_share": float(np.mean(channel.mask)),
        }
        for channel in instrument.channels
    ]
    if as_json:
        output.write_json({"name": instrument.name, "citation": instrument.citation, "channels": rows})
        return
    table = Table(title=f"{instrument.name}: {instrument.title}", title_justify="left", header_style="bold")
    for heading in ("channel", "wavelengths (A)", "bins", "FWHM (A)", "area (cm2)", "statistic", "usable"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            str(row["channel"]),
            f"{row['wavelength_low']:.2f}-{row['wavelength_high']:.2f}",
            str(row["bins"]),
            f"{row['fwhm']:.4g}",
            f"{row['largest_effective_area_cm2']:.3g}",
            str(row["statistic"]),
            f"{row['usable_share']:.0%}",
        )
    console = output.console()
    console.print(table)
    console.print(instrument.citation)
