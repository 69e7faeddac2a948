"""The application, for Python and for the command line alike: from a recipe to its record.

    project.py           the public face: a recipe with its lock, store and plugins
    session.py           the compiled recipe, its lock and its store
    validation.py        errors and warnings of a recipe, all at once
    locking.py           pin sources; complete, check and write the lock
    forecast.py          cost, from counts and past runs
    run.py               the whole flow: lock, forecast, quota, run, record
    rehearse.py          the whole plan on a few rows and a tiny base model
    run_lookup.py        a finished run: its rows, predictions, metrics, adapter
    audit.py             re-derive what a run claims
    observer.py          progress and notices

Nothing here parses arguments or prints: what happens is reported to an observer.
"""

if __name__ != "khichdi.project":
    raise ImportError("this folder is the package khichdi.project: install it and import that name")
