"""Publish a slide: metadata, tables, pictures and checks, then one atomic rename."""
