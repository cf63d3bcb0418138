"""REST over the gRPC services: the same questions and answers, as JSON."""
