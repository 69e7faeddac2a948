"""Bundles: one file with everything that an auditor of a run needs and may have.

privacy_check.py   refuse secrets, and names of people and machines
data_check.py      find secrets and personal folders in rows, files and predictions
write.py           write a run's documents and artifacts to one file, always the same bytes
read.py            check such a file, and unpack it to a folder
tar_format.py      the canonical form of a bundle's bytes
"""
