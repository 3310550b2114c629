"""What Forebay costs, measured on this machine."""
