"""The application, for Python and for the command line alike: from a recipe to its record.

    project.py           the Python API, which `import khichdi` gives
    session.py           a compiled recipe with its lock and store
    bundled_recipes.py   recipes by path, or by bare name those that ship
    revisions.py         recipes at a git revision
    validation.py        all errors and warnings of recipes
    missing_files.py     local files of sources that are not there
    planning.py          cached steps, steps to run, and the forecast
    forecast.py          cost, from counts and past runs
    past_runs.py         rates that past runs measured
    expectations.py      rows that are not as the recipe expects
    cache_misses.py      why steps have to run again
    locking.py           pin sources; check, complete and write the lock
    run.py               the whole flow: lock, forecast, quota, run, record
    rehearse.py          the whole plan on a few rows and a tiny base model
    run_lookup.py        a finished run: rows, predictions, metrics, adapter
    curation.py          curated rows: write, show and count them
    evaluation.py        further evaluations of a finished run; evaluation_file.py serves it
    predictions.py       predictions with prompts, references and scores; filters of them
    comparison.py        evaluations of runs row by row; paired_bootstrap.py serves it
    win_rates.py         rank teams by win rates; score_tables.py reads their scores
    generate.py          a run's model, and its answers to prompts; server/ serves it over HTTP
    export.py            a finished run's model in other formats; modelfile.py serves it
    report.py            a run, or two side by side, as one HTML page
    board/               a local page over a store, with its runs, recipes and plugins
    audit.py             re-derive what a run claims; audit_target.py and recompile.py serve it
    difference.py        compare recipes or runs; diff_operands.py and run_comparison.py serve it
    recipe_origins.py    the file and line that each value of a recipe comes from
    new_recipe.py        start a recipe for a file, from a starter or from a shipped recipe;
                         first_recipe/, which writes its text, and editor_schema.py serve it
    import_config.py     a recipe from another tool's configuration
    export_config.py     another tool's configuration from a recipe
    base_chat.py         chat templates and special tokens of a base
    base_files.py        a base's configuration and tokenizer, without its weights
    mirrors.py           choose a mirror; mirror_copy.py makes one
    signatures.py        sign a run, its models or an audit; verify signatures
    calibration.py       calibrate audit tolerances
    bundling.py          write a bundle
    publishing.py        upload a run to the hub; published.py opens it from there
    cards.py             data set card, ML-BOM, Croissant
    model_card.py        model card and chat template of a run's adapter folder
    plugin_description.py  new_plugin.py  plugin_check.py    list, show, create and check plugins
    store_upkeep.py      repair a store, and collect its garbage
    doctor.py            machine.py  extras.py    what this machine and installation can do
    environment.py       machine, libraries and settings, with the origin of each value
    quota.py workers.py launch.py slurm.py settings.py    how a run may use this machine
    observer.py          progress and notices
    units.py             sizes in words

Nothing here parses arguments or prints: what happens is reported to an observer.
"""

if __name__ != "khichdi.project":
    raise ImportError("this folder is the package khichdi.project: install it and import that name")
