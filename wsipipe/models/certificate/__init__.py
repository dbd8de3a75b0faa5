"""Certificates: how exactly a network commutes with orientation and tiling, measured."""
