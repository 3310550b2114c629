"""Makes a YAML text say something else, and leaves everything alone that says the same as before."""

from resolver_service.adapters.amend_yaml.amending import amend

__all__ = ["amend"]
