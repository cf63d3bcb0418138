"""What is true of every service: the stage loop, workers, dead letters, settings, metrics, control.

In reading order: `stage` (what a stage is), `loop` (what is done with it), `workers` (the processes that do
the work), `attempts` and `dead_letters` (what happens to a record that kills them), `control` (pause, reload),
`application` (all of it as one service).
"""
