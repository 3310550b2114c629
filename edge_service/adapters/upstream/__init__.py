"""Provider calls: over connections of our own for HTTP/1.1."""
