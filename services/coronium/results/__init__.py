"""Stores what the stream produces and serves it over gRPC."""
