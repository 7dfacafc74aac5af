"""What the verbs of the command line do: read inputs, call the library, write outputs, track the run."""
