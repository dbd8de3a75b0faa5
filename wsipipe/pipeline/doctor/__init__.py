"""Examination of the machine: what wsipipe finds on it, and what is missing."""
