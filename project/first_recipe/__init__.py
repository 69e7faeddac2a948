"""Write a first recipe for a file of training data, of shipped plugins.

choice_layout.py   multiple-choice questions
data_layout.py     the usual layouts of a record: chats, instructions, completions
data_file.py       look at a file: its layout, rows and lengths
base_choice.py     a base by short name, repository or folder
recipe_text.py     the recipe as text, with a comment beside each choice; the starters
"""
