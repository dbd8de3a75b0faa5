"""Tools that know nothing of slides: atomic files, locks, settings, fault injection."""
