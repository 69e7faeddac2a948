"""Layouts of published data sets: multiple choice, questions, messages, task files."""
