"""Coronium: posteriors from a stream of coronal spectra."""

