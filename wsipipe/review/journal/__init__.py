"""The durable list of a reviewer's edits, and what follows from it."""
