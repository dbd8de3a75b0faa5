"""Stages of a workflow, their parameters and flow.

``stage`` is the contract of a stage, ``flow`` the order, ``workflow`` the YAML file, ``grid`` the rules of
scale. docs/extend/stage.md tells how to add one.
"""
