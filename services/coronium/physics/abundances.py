"""Elements by name. The abundance sets themselves come with the emissivity table."""

# fmt: off
SYMBOLS = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca",
    "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn",
)
# fmt: on
HYDROGEN, HELIUM, OXYGEN, IRON = 1, 2, 8, 26


def symbol(atomic_number: int) -> str:
    """Chemical symbol of an element."""
    return SYMBOLS[atomic_number - 1]
