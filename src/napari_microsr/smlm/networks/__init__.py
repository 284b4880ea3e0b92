"""Networks that localise single molecules."""
