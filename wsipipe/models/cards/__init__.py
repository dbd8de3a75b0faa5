"""Model cards: find, verify, fetch and describe weights."""
