"""The board: a local page over a store, with its runs, recipes and plugins.

serve_board.py    bind, serve until a signal, stop
app.py            addresses, and what answers at each
guard.py          who may ask what; headers of every answer
pages.py          templates, forms, errors
run_pages.py      pages about runs; run_view.py and compare_view.py say what is on them
runs_index.py     list, sort and filter runs without reading every record
tags.py           tags of runs
recipe_pages.py   pages about recipes and plugins
recipe_files.py   list, read and save the recipes of the folder
recipe_check.py   diagnostics and estimate of a text that is being edited
completion.py     what can be written at a place of it
templates/        Jinja templates; they stand in the frame of reports
static/           style, script, and htmx

Pages are plain HTML with links and forms, and work without scripts; htmx asks again for the parts
that change. A board writes nothing unless it is started with `--write`, and never into a run.
"""
