"""One small file a reader, behind the one face of ``readers.base``."""
