"""Tools that know nothing of slides: files, locks, settings, fault injection."""
