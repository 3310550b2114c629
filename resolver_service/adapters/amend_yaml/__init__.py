"""Edits a YAML text in place, so that it says something else: what stays the same keeps its comments, order and
quotes."""

from resolver_service.adapters.amend_yaml.amending import amend

__all__ = ["amend"]
