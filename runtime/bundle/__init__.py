"""One file with what an auditor of a run needs and may have.

gate.py    refuses secrets, and names of people and machines
write.py   a run's documents and artifacts to one file, always the same bytes
read.py    the file back to a folder, after every check that it is what it seems
layout.py  the one form that the bytes of a bundle have
"""
