"""What the runs of a params file take, beforehand: operations, memory, disk and hours. Nothing is trained for it."""
