"""Read the rows that a run curated: write them to files, draw some, count them.

rows.py           the rows of a step, with the side of the split that each is on
write.py          rows as JSON lines, CSV or Parquet
texts.py          the text of rows: words, characters, normal forms
statistics.py     lengths, composition, overlap, languages and n-grams of rows
"""
