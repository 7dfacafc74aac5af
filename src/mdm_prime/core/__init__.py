"""The mathematics: sub-tokens, schedules, masking, objectives. Needs torch and nothing else."""
