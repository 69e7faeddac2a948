"""Audit a run: recompute its claims, level by level.

    audited_run.py         the documents of a run, and where its artifacts lie
    documents.py           the levels recipe, plan and environment, from documents alone
    artifacts.py           the artifacts of steps, by their bytes
    figures.py             counts and metrics, recomputed from artifacts
    row_accounting.py      rows, followed from step to step
    claimed_tables.py      the tables and values that a step took in and put out
    level.py               one level while it is checked
    rerun.py               every step executed again
    segments.py            segments of a training executed again, each from the state before it
    segment_comparison.py  their results, compared with the claim
    segment_distance.py    how far an executed segment is from the claimed one
    tolerance.py           the judge that is asked where bits differ
    segment_draw.py        the draw, and the odds of finding a forged segment
    compare.py             where two artifacts first differ: file, row, tensor or training step
    plugin_files.py        plugin files of a run, loaded only with consent
    audit.py               all levels, as one report

Nothing here needs the compiler, and only `rerun`, `segments` and the recomputed metrics need
plugins or the network.
"""
