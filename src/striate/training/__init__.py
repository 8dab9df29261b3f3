"""The loop and everything around it: tasks, recipes, optimisers, schedules, checkpoints, evaluation."""
