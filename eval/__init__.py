"""How good is it, honestly? Protocols, metrics, reports."""
