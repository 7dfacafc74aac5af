"""The authors' published checkpoints, read without running anything in them, as networks of this project.

`importing.import_checkpoint` makes a folder of a checkpoint; `imported.load` makes a network of the folder.
"""
