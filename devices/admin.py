"""Django's own admin: what is saved here is on every screen, because it is the same rows."""
