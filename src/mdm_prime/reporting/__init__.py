"""Tables, figures and claims, made from saved result files only: nothing here imports torch."""
