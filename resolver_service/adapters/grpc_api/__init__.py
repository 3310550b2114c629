"""The resolver as a gRPC service."""
