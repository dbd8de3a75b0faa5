"""Stages of a workflow, their parameters, and the flow that orders them."""
