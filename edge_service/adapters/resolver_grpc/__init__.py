"""The resolver over gRPC: one stream to each resolver that the edge knows of."""
