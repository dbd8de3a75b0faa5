"""Stages of a workflow, their parameters and flow."""
