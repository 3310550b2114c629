"""A service that asks Forebay's resolver whom to call, and calls them itself."""
