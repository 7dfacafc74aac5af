"""Rules that decide claims: from the tables to our value and a verdict."""
