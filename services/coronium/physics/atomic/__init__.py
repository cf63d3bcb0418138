"""The emissivity table: made from CHIANTI, read and interpolated."""
