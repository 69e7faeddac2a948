"""Signatures: on runs, on audits, and on model folders."""
