"""Whether a training that was done again on other hardware is the one that was claimed.

Bits differ there, so limits decide, and limits are never guessed: they are calibrated from honest
reruns and attacked by trainings that are not what the recipe says.

    settings.py     what stands for other hardware on this machine
    controls.py     ten kinds of trainings that must be told from an honest one
    worker.py       does trainings in a process of its own: some settings are read at its start
    training.py     what one training left behind: trace, adapter, scores
    lowrank.py      the update that an adapter makes, compared without ever forming it
    probes.py       what models say to frozen samples
    statistics.py   how far two trainings are apart, each figure with its definition
    thresholds.py   limits from samples, by one rule; what no figure separates is said
    calibration.py  makes a calibration
    reading.py      reads one with every check before it is used
    fixed.py        what has to be the same on any hardware, as it is not calculated
    limits.py       holds figures against the limits of a calibration
    segments.py     holds segments that were executed again against one
    verdict.py      holds a rerun against one
"""
