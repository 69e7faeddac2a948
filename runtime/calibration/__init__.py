"""Calibrate tolerances for reruns on other hardware, and judge reruns by them.

Bits differ there, so limits decide, and limits are never guessed: they are calibrated from honest
reruns and attacked by trainings that are not what the recipe says.

    calibrate.py         makes a calibration
    calibration_file.py  reads one with every check before it is used
    cpu_kernels.py       other CPU kernels, which stand for other hardware on one machine
    forgeries.py         ten kinds of trainings that must be distinguished from an honest one
    worker.py            trains in a process of its own: some settings are read at its start
    trained_model.py     what one training left behind: trace, adapter, scores
    lowrank.py           the update that an adapter makes, compared without ever forming it
    probes.py            answers of models to frozen samples
    statistics.py        distances between two trainings, each with its definition
    thresholds.py        limits from samples, by one rule
    invariants.py        what has to be the same on any hardware, as it is not computed
    limits.py            holds figures against the limits of a calibration
    segment_limits.py    holds segments that were executed again against one
    judge.py             holds a rerun against one
"""
