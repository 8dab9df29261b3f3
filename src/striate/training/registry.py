"""The names of training: optimisers, schedules and tasks, readable without importing torch."""

from __future__ import annotations

from striate.core.registry import Registry

optimisers = Registry("optimiser", package="striate.training")
optimiser = optimisers.register

schedules = Registry("schedule", package="striate.training")
schedule = schedules.register

tasks = Registry("task", package="striate.training")
task = tasks.register
