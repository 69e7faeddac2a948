"""Run EleutherAI's lm-evaluation-harness over a trained model, with the data of each task pinned.

evaluation.py   the model, the tasks, and their scores
installed.py    the installed release: its version, and its files as they were published
task_data.py    data sets of tasks as local folders, with a card that names their splits
samples.py      the harness's samples as predictions
"""
