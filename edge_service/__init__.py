"""The edge: speaks the APIs that applications speak, walks the resolver's plans and relays the answers."""
