"""Write a run, a comparison of two, or an audit as one self-contained HTML page.

page.py          the frame of every page: template, style, script, and what a page may do
charts.py        curves and bars, drawn by matplotlib
sankey.py        rows as they flow from data sets to training
flow.py          how many rows each step kept, and why it dropped the others
training.py      curves, cost and metrics of a training
browsing.py      rows to search in the page, compressed
row_browsers.py  predictions and dropped rows of a run, to browse
words.py         the machine, what is claimed, a glossary
run_page.py      the page of a run
compare_page.py  the page of two runs
templates/       Jinja templates, the style and the script

A page loads nothing: not from the network, not from the disk. Whatever comes from a run is escaped
by the template engine, and characters that act are shown as escapes.
"""
