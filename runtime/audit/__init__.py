"""Re-deriving what a record claims, level by level.

    audited_run.py         what is audited: the documents of a run, and where its artifacts lie
    documents.py           recipe, plan and environment, from the documents alone
    artifacts.py           everything that steps produced, by its bytes
    rerun.py               the same again, by executing each step
    segments.py            a few segments of training, each executed again from the state before it
    segment_comparison.py  what that gave, compared with the claim
    segment_distance.py    how far an executed segment is from the claimed one
    tolerance.py           the judge that is asked where bits differ
    segment_draw.py        which segments, and what share of forged ones that finds
    compare.py             where two artifacts first differ: the file, row, tensor or training step
    audit.py               all of it, level after level, as one report

Nothing here needs the compiler, and but for `rerun` and `segments` nothing needs a plugin
or the network.
"""
