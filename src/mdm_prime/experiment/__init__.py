"""What is run: params files, tasks and their runs, and where every file lies. Imports no torch."""
