"""How dates look: the same unambiguous way in every language."""
