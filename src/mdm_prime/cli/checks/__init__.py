"""What `mdm-prime doctor` looks at, a function for each row: a Scene to a Finding."""
