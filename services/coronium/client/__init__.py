"""The light SDK: publish spectra, query and watch results. Start at `client.Client`."""
