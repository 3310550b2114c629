"""The operator's command. It speaks gRPC to the resolver and imports neither service."""
