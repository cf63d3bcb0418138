"""The pictures of a result, of a raster and of a star's history.

Drawn without pyplot, so that a picture changes no setting of the process that draws it. The suffix of the
path decides the format; `.pdf` gives vectors.
"""

from coronium.pictures.history import capella_history
from coronium.pictures.maps import raster_maps
from coronium.pictures.spectrum import spectrum_picture

__all__ = ["capella_history", "raster_maps", "spectrum_picture"]
