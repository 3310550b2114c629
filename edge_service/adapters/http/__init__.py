"""The HTTP surface of the edge."""
